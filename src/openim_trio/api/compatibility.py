"""What the API document says about being compatible."""

DESCRIPTION = """\
The REST API of openim-trio. It speaks the REST protocol of OpenIM v3.8 so that the official client
SDKs and the application backends written for it work unchanged.

**Requests.** POST with a JSON object; keys match in any case, unknown keys are ignored, null means
absent, the Content-Type is not looked at. Every request has a header `operationID`; all but
`/auth/get_admin_token` and `/auth/parse_token` have a header `token`.

**Answers.** `{"errCode", "errMsg", "errDlt", "data"}`; errCode 0 is success. `data` is left out on
errors and where there is nothing to say. Field names are those of the protocol; zero values are
always there, 64-bit integers are JSON numbers, empty lists and maps may be null. The HTTP status is
200 for errors too, but 400 for a malformed body on the routes that say so, 404 for an unknown path
and 500 when the server itself failed.

**Where this server is stricter than OpenIM v3.8**

- `/user/get_users` is for administrators. In OpenIM any valid token lists all users; no official
  SDK calls the route.
- Filters (`/user/get_users`, `/group/get_group_member_list`) are plain text found anywhere and in
  any case, not regular expressions.
- `/auth/get_user_token` refuses an unknown platformID and an empty userID with 1001.
- `/auth/force_logout` takes platformID 11 too.
- A wrong content element in `/msg/send_msg` is errCode 1001 and names the field; in OpenIM it is
  500 without a reason.
- Tokens are never shown: the `token` of `/user/get_users_online_status` is empty.
- `/msg/delete_msg_physical` erases what is older than `timestamp` seconds in the named
  conversations, and only there.
- `/msg/batch_send_msg` takes sessionType 1 and 4: into a group one message is enough.
- sessionType 2 is refused everywhere; `/group/get_group_member_list` applies its filter.
- A page holds at most 10,000 items, a list of IDs in a request as many; an ID has at most 256
  characters.
- Storage that does not answer is errCode 90002: the same request may be sent again.
"""
