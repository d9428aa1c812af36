"""The example request of the 2022 endpoint, as its description has it."""

from __future__ import annotations

from typing import Any

PICTURE = {"uuid": "", "type": "", "size": 0, "width": 0, "height": 0, "url": ""}
LEGACY_EXAMPLE: dict[str, Any] = {
    "operationID": "Oa notification operationID111",
    "sendID": "openIM123456",
    "recvID": "18712345678",
    "senderPlatformID": 2,
    "senderFaceURL": "http://www.head.com",
    "senderNickname": "系统通知2",
    "content": {
        "notificationName": "公文管理",
        "notificationFaceURL": "http://www.head1.com",
        "notificationType": 1,
        "text": "大家好,今天是...",
        "externalUrl": "",
        "mixType": 0,
        "pictureElem": {
            "sourcePath": "",
            "sourcePicture": PICTURE,
            "bigPicture": PICTURE,
            "snapshotPicture": PICTURE,
        },
        "soundElem": {"uuid": "", "soundPath": "", "sourceUrl": "", "dataSize": 0, "duration": 0},
        "videoElem": {
            "videoPath": "",
            "videoUUID": "",
            "videoUrl": "",
            "videoType": "",
            "videoSize": 0,
            "duration": 0,
            "snapshotPath": "",
            "snapshotUUID": "",
            "snapshotSize": 0,
            "snapshotUrl": "",
            "snapshotWidth": 0,
            "snapshotHeight": 0,
        },
        "fileElem": {"filePath": "", "uuid": "", "sourceUrl": "", "fileName": "", "fileSize": 0},
        "ex": "",
    },
    "contentType": 1400,
    "sessionType": 4,
    "isOnlineOnly": False,
    "offlinePushInfo": {
        "title": "admin revoke your message",
        "desc": "",
        "ex": "",
        "iOSPushSound": "default",
        "iOSBadgeCount": False,
    },
}
