"""reqIdentifier: which operation an envelope carries.

The names say what the payload does.  (In OpenIM v3.8 the constant names of 1002 and 1005 are
swapped between client and server; the payload types are what both really exchange.)

What is marked as extension is this project's own: it is taken only from connections whose
handshake asked for it, and is unknown to all others.
"""

from __future__ import annotations

from enum import IntEnum


class Req(IntEnum):
    NEWEST_SEQ = 1001
    """sdkws.GetMaxSeqReq -> sdkws.GetMaxSeqResp"""
    PULL_RANGES = 1002
    """sdkws.PullMessageBySeqsReq -> sdkws.PullMessageBySeqsResp"""
    SEND = 1003
    """sdkws.MsgData, bare -> msg.SendMsgResp"""
    SIGNAL = 1004
    """answered with an error, always"""
    PULL_SEQS = 1005
    """msg.GetSeqMessageReq -> msg.GetSeqMessageResp"""
    READ_AND_MAX = 1006
    """msg.GetConversationsHasReadAndMaxSeqReq -> msg.GetConversationsHasReadAndMaxSeqResp"""
    LAST_MESSAGES = 1007
    """msg.GetLastMessageReq -> msg.GetLastMessageResp"""
    PUSH = 2001
    """server to client: sdkws.PushMessages"""
    KICK = 2002
    """server to client: no data"""
    LOGOUT = 2003
    """push.DelUserPushTokenReq -> push.DelUserPushTokenResp, then the server closes"""
    BACKGROUND = 2004
    """sdkws.SetAppBackgroundStatusReq -> no data"""
    ONLINE_STATUS = 2005
    """sdkws.SubUserOnlineStatus -> sdkws.SubUserOnlineStatusTips; the answer is pushed too"""
    GIVE_UP = 3101
    """extension: sdkws.MsgData, bare, content optional -> extension.GiveUpResp"""
    DELIVERED = 3102
    """extension: extension.DeliveredReq, without a reply"""
