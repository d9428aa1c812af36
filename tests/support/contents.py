"""One content of each type as an official client would send it, for tests that need valid ones."""

from __future__ import annotations

import json
from typing import Any

_PICTURE = {
    "uuid": "p1",
    "type": "image/png",
    "size": 1024,
    "width": 640,
    "height": 480,
    "url": "https://files.test/p1",
}
_ENTITY = {"type": "bold", "offset": 0, "length": 2, "url": "", "ex": ""}

PICTURE: dict[str, Any] = {
    "sourcePath": "/tmp/p1.png",
    "sourcePicture": _PICTURE,
    "bigPicture": _PICTURE,
    "snapshotPicture": _PICTURE,
}
VOICE: dict[str, Any] = {
    "uuid": "s1",
    "soundPath": "",
    "sourceUrl": "https://files.test/s1",
    "dataSize": 4000,
    "duration": 3,
    "soundType": "audio/mp4",
}
VIDEO: dict[str, Any] = {
    "videoPath": "",
    "videoUUID": "v1",
    "videoUrl": "https://files.test/v1",
    "videoType": "video/mp4",
    "videoSize": 90_000,
    "duration": 12,
    "snapshotPath": "",
    "snapshotUUID": "v2",
    "snapshotSize": 900,
    "snapshotUrl": "https://files.test/v2",
    "snapshotWidth": 320,
    "snapshotHeight": 200,
    "snapshotType": "image/png",
}
FILE: dict[str, Any] = {
    "filePath": "",
    "uuid": "f1",
    "sourceUrl": "https://files.test/f1",
    "fileName": "a.pdf",
    "fileSize": 70_000,
    "fileType": "application/pdf",
}
MESSAGE: dict[str, Any] = {
    "clientMsgID": "c" * 32,
    "serverMsgID": "s" * 32,
    "createTime": 1_700_000_000_000,
    "sendTime": 1_700_000_000_001,
    "sessionType": 1,
    "sendID": "u1",
    "recvID": "u2",
    "msgFrom": 100,
    "contentType": 101,
    "senderPlatformID": 2,
    "senderNickname": "U One",
    "senderFaceUrl": "",
    "content": '{"content":"hi"}',
    "seq": 7,
    "isRead": False,
    "status": 2,
    "offlinePush": None,
    "attachedInfo": "null",
    "textElem": {"content": "hi"},
    "pictureElem": None,
    "attachedInfoElem": {
        "groupHasReadInfo": {"hasReadCount": 0, "groupMemberCount": 0},
        "isPrivateChat": False,
        "burnDuration": 0,
        "hasReadTime": 0,
        "isEncryption": False,
        "inEncryptStatus": False,
        "uploadProgress": None,
    },
}
NOTICE: dict[str, Any] = {
    "notificationName": "Payroll",
    "notificationFaceURL": "https://files.test/n",
    "notificationType": 1,
    "text": "paid",
    "url": "https://pay.test",
    "mixType": 0,
    "pictureElem": None,
    "soundElem": None,
    "videoElem": None,
    "fileElem": None,
    "ex": "",
}
SENT: dict[int, dict[str, Any]] = {
    101: {"content": "hi"},
    102: PICTURE,
    103: VOICE,
    104: VIDEO,
    105: FILE,
    106: {
        "text": "@u2 hi",
        "atUserList": ["u2", "AtAllTag"],
        "atUsersInfo": [{"atUserID": "u2", "groupNickname": "Two"}],
        "quoteMessage": MESSAGE,
        "isAtSelf": False,
    },
    107: {
        "title": "Talk",
        "abstractList": ["a: hi"],
        "multiMessage": [MESSAGE, MESSAGE],
        "messageEntityList": [_ENTITY],
    },
    108: {"userID": "u3", "nickname": "Three", "faceURL": "", "ex": ""},
    109: {"description": "here", "longitude": 13.4, "latitude": 52},
    110: {"data": '{"a":1}', "description": "", "extension": ""},
    111: {"clientMsgID": "c1"},
    112: {},
    113: {"msgTips": "yes"},
    114: {"text": "yes", "quoteMessage": MESSAGE, "messageEntityList": None},
    115: {"index": 3, "data": ""},
    117: {"text": "bold", "messageEntityList": [_ENTITY]},
    118: {"content": "# hi"},
    119: {"data": "x"},
    120: {"data": "x"},
    1400: {"detail": json.dumps(NOTICE)},
    2001: {"detail": '{"key":"k","data":"d"}'},
}
