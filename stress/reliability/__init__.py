"""Many people with clients of their own, on a real server, for as long as it takes; everything that
can break is broken.  At the end what everybody was told, shown and holds is compared.

`python -m stress.reliability --help`
"""
