"""The main job, shown: a real server, a few people, one of them away for a while, nothing lost."""
