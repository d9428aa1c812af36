"""All routes, one line each."""

from __future__ import annotations

from openim_trio.api.handlers import (
    auth,
    conversations,
    friends,
    groups,
    jssdk,
    legacy,
    messages,
    sending,
    users,
)
from openim_trio.api.permissions import ADMIN, ANY, MEMBER, NONE, SELF
from openim_trio.api.routes import Empty, route
from openim_trio.api.types import auth as ta
from openim_trio.api.types import conversations as tc
from openim_trio.api.types import friends as tf
from openim_trio.api.types import groups as tg
from openim_trio.api.types import jssdk as tj
from openim_trio.api.types import messages as tm
from openim_trio.api.types import sending as ts
from openim_trio.api.types import users as tu
from openim_trio.wire.proto import jssdk_pb2

BATCH_SECONDS = 120.0

AUTH = (
    route(
        "/auth/get_admin_token",
        ta.GetAdminTokenReq,
        ta.GetAdminTokenResp,
        NONE,
        auth.get_admin_token,
    ),
    route(
        "/auth/get_user_token", ta.GetUserTokenReq, ta.GetUserTokenResp, ADMIN, auth.get_user_token
    ),
    route("/auth/parse_token", ta.ParseTokenReq, ta.ParseTokenResp, NONE, auth.parse_token),
    route("/auth/force_logout", ta.ForceLogoutReq, Empty, ADMIN, auth.force_logout),
)
USERS = (
    route("/user/user_register", tu.UserRegisterReq, Empty, ADMIN, users.user_register),
    route(
        "/user/get_users_info",
        tu.GetDesignateUsersReq,
        tu.GetDesignateUsersResp,
        ANY,
        users.get_users_info,
    ),
    route(
        "/user/account_check", tu.AccountCheckReq, tu.AccountCheckResp, ADMIN, users.account_check
    ),
    route(
        "/user/get_users",
        tu.GetPaginationUsersReq,
        tu.GetPaginationUsersResp,
        ADMIN,
        users.get_users,
        note="In OpenIM v3.8 any token lists all users; no official SDK calls it.",
    ),
    route(
        "/user/get_users_online_status",
        tu.GetUsersOnlineStatusReq,
        list[tu.UserOnlineStatus],
        ADMIN,
        users.get_users_online_status,
        bad_body=400,
    ),
    route(
        "/user/add_notification_account",
        tu.AddNotificationAccountReq,
        tu.AddNotificationAccountResp,
        ADMIN,
        users.add_notification_account,
    ),
)
FRIENDS = (
    route(
        "/friend/get_friend_list",
        tf.GetPaginationFriendsReq,
        tf.GetPaginationFriendsResp,
        SELF("userID"),
        friends.get_friend_list,
    ),
    route(
        "/friend/get_designated_friends",
        tf.GetDesignatedFriendsReq,
        tf.GetDesignatedFriendsResp,
        SELF("ownerUserID"),
        friends.get_designated_friends,
    ),
    route(
        "/friend/get_black_list",
        tf.GetPaginationBlacksReq,
        tf.GetPaginationBlacksResp,
        SELF("userID"),
        friends.get_black_list,
    ),
    route(
        "/friend/get_incremental_friends",
        tf.GetIncrementalFriendsReq,
        tf.GetIncrementalFriendsResp,
        SELF("userID"),
        friends.get_incremental_friends,
    ),
    route(
        "/friend/get_full_friend_user_ids",
        tf.GetFullFriendUserIDsReq,
        tf.GetFullFriendUserIDsResp,
        SELF("userID"),
        friends.get_full_friend_user_ids,
    ),
)
GROUPS = (
    route(
        "/group/create_group",
        tg.CreateGroupReq,
        tg.CreateGroupResp,
        SELF("ownerUserID"),
        groups.create_group,
    ),
    route(
        "/group/get_groups_info",
        tg.GetGroupsInfoReq,
        tg.GetGroupsInfoResp,
        ANY,
        groups.get_groups_info,
    ),
    route(
        "/group/get_group_member_list",
        tg.GetGroupMemberListReq,
        tg.GetGroupMemberListResp,
        MEMBER("groupID"),
        groups.get_group_member_list,
    ),
    route(
        "/group/get_joined_group_list",
        tg.GetJoinedGroupListReq,
        tg.GetJoinedGroupListResp,
        SELF("fromUserID"),
        groups.get_joined_group_list,
    ),
    route(
        "/group/get_incremental_join_groups",
        tg.GetIncrementalJoinGroupReq,
        tg.GetIncrementalJoinGroupResp,
        SELF("userID"),
        groups.get_incremental_join_groups,
    ),
    route(
        "/group/get_full_join_group_ids",
        tg.GetFullJoinGroupIDsReq,
        tg.GetFullJoinGroupIDsResp,
        SELF("userID"),
        groups.get_full_join_group_ids,
    ),
    route(
        "/group/get_incremental_group_members_batch",
        tg.BatchGetIncrementalGroupMemberReq,
        tg.BatchGetIncrementalGroupMemberResp,
        MEMBER("reqList.groupID"),
        groups.get_incremental_group_members_batch,
    ),
    route(
        "/group/get_full_group_member_user_ids",
        tg.GetFullGroupMemberUserIDsReq,
        tg.GetFullGroupMemberUserIDsResp,
        MEMBER("groupID"),
        groups.get_full_group_member_user_ids,
    ),
)
MESSAGES = (
    route(
        "/msg/newest_seq", tm.GetMaxSeqReq, tm.GetMaxSeqResp, SELF("userID"), messages.newest_seq
    ),
    route(
        "/msg/pull_msg_by_seq",
        tm.PullMessageBySeqsReq,
        tm.PullMessageBySeqsResp,
        SELF("userID"),
        messages.pull_msg_by_seq,
    ),
    route("/msg/revoke_msg", tm.RevokeMsgReq, Empty, SELF("userID"), messages.revoke_msg),
    route(
        "/msg/mark_msgs_as_read",
        tm.MarkMsgsAsReadReq,
        Empty,
        SELF("userID"),
        messages.mark_msgs_as_read,
    ),
    route(
        "/msg/mark_conversation_as_read",
        tm.MarkConversationAsReadReq,
        Empty,
        SELF("userID"),
        messages.mark_conversation_as_read,
    ),
    route(
        "/msg/get_conversations_has_read_and_max_seq",
        tm.GetConversationsHasReadAndMaxSeqReq,
        tm.GetConversationsHasReadAndMaxSeqResp,
        SELF("userID"),
        messages.get_conversations_has_read_and_max_seq,
    ),
    route(
        "/msg/set_conversation_has_read_seq",
        tm.SetConversationHasReadSeqReq,
        Empty,
        SELF("userID"),
        messages.set_conversation_has_read_seq,
    ),
    route(
        "/msg/clear_conversation_msg",
        tm.ClearConversationsMsgReq,
        Empty,
        SELF("userID"),
        messages.clear_conversation_msg,
    ),
    route(
        "/msg/user_clear_all_msg",
        tm.UserClearAllMsgReq,
        Empty,
        SELF("userID"),
        messages.user_clear_all_msg,
    ),
    route("/msg/delete_msgs", tm.DeleteMsgsReq, Empty, SELF("userID"), messages.delete_msgs),
    route(
        "/msg/delete_msg_phsical_by_seq",
        tm.DeleteMsgPhysicalBySeqReq,
        Empty,
        ADMIN,
        messages.delete_msg_physical_by_seq,
        note="The path is really spelt so.",
    ),
    route(
        "/msg/delete_msg_physical",
        tm.DeleteMsgPhysicalReq,
        Empty,
        ADMIN,
        messages.delete_msg_physical,
    ),
    route(
        "/msg/check_msg_is_send_success",
        Empty,
        tm.GetSendMsgStatusResp,
        ANY,
        messages.check_msg_is_send_success,
        note="Of the send that had the same operationID; kept for 24 hours.",
    ),
    route("/msg/get_server_time", Empty, tm.GetServerTimeResp, ANY, messages.get_server_time),
)
SENDING = (
    route("/msg/send_msg", ts.SendMsgReq, ts.SendMsgResp, ADMIN, sending.send_msg, bad_body=400),
    route(
        "/msg/batch_send_msg",
        ts.BatchSendMsgReq,
        ts.BatchSendMsgResp,
        ADMIN,
        sending.batch_send_msg,
        bad_body=400,
        seconds=BATCH_SECONDS,
    ),
    route(
        "/msg/send_business_notification",
        ts.SendBusinessNotificationReq,
        ts.SendMsgResp,
        ADMIN,
        sending.send_business_notification,
        bad_body=400,
    ),
    route(
        "/msg/send_simple_msg",
        ts.SendSimpleMsgReq,
        ts.SendMsgResp,
        ANY,
        sending.send_simple_msg,
        bad_body=400,
        note="With the query parameter `key`; for the resulting sender and administrators.",
    ),
)
CONVERSATIONS = (
    route(
        "/conversation/get_all_conversations",
        tc.GetAllConversationsReq,
        tc.GetAllConversationsResp,
        SELF("ownerUserID"),
        conversations.get_all_conversations,
    ),
    route(
        "/conversation/get_conversation",
        tc.GetConversationReq,
        tc.GetConversationResp,
        SELF("ownerUserID"),
        conversations.get_conversation,
    ),
    route(
        "/conversation/get_conversations",
        tc.GetConversationsReq,
        tc.GetConversationsResp,
        SELF("ownerUserID"),
        conversations.get_conversations,
    ),
    route(
        "/conversation/set_conversations",
        tc.SetConversationsReq,
        Empty,
        SELF("userIDs"),
        conversations.set_conversations,
        note="Who has no row of the conversation yet must be in the group or one of the two users.",
    ),
    route(
        "/conversation/get_full_conversation_ids",
        tc.GetFullOwnerConversationIDsReq,
        tc.GetFullOwnerConversationIDsResp,
        SELF("userID"),
        conversations.get_full_conversation_ids,
    ),
    route(
        "/conversation/get_incremental_conversations",
        tc.GetIncrementalConversationReq,
        tc.GetIncrementalConversationResp,
        SELF("userID"),
        conversations.get_incremental_conversations,
    ),
    route(
        "/conversation/get_owner_conversation",
        tc.GetOwnerConversationReq,
        tc.GetOwnerConversationResp,
        SELF("userID"),
        conversations.get_owner_conversation,
    ),
    route(
        "/conversation/get_not_notify_conversation_ids",
        tc.GetNotNotifyConversationIDsReq,
        tc.GetNotNotifyConversationIDsResp,
        SELF("userID"),
        conversations.get_not_notify_conversation_ids,
    ),
    route(
        "/conversation/get_pinned_conversation_ids",
        tc.GetPinnedConversationIDsReq,
        tc.GetPinnedConversationIDsResp,
        SELF("userID"),
        conversations.get_pinned_conversation_ids,
    ),
)
JSSDK = (
    route(
        "/jssdk/get_conversations",
        tj.GetJSConversationsReq,
        tj.JSConversationsResp,
        ANY,
        jssdk.get_conversations,
        protobuf=(jssdk_pb2.GetConversationsReq, jssdk_pb2.GetConversationsResp),
    ),
    route(
        "/jssdk/get_active_conversations",
        tj.GetActiveConversationsReq,
        tj.JSConversationsResp,
        ANY,
        jssdk.get_active_conversations,
        protobuf=(jssdk_pb2.GetActiveConversationsReq, jssdk_pb2.GetActiveConversationsResp),
    ),
)
LEGACY = route(
    "/manager/send_msg",
    ts.LegacySendReq,
    ts.SendMsgResp,
    ADMIN,
    legacy.send_msg,
    operation_id_in_body=True,
    note="As it was in 2022, for backends written then: the operationID is in the body.",
)
ROUTES = (
    *AUTH,
    *USERS,
    *FRIENDS,
    *GROUPS,
    *MESSAGES,
    *SENDING,
    *CONVERSATIONS,
    *JSSDK,
    LEGACY,
)
