"""Platforms of clients and their classes."""

from __future__ import annotations

from enum import Enum, IntEnum


class Platform(IntEnum):
    """`platformID` on the wire."""

    IOS = 1
    ANDROID = 2
    WINDOWS = 3
    OSX = 4
    WEB = 5
    MINI_WEB = 6
    LINUX = 7
    ANDROID_PAD = 8
    IPAD = 9
    ADMIN = 10
    HARMONY = 11


class PlatformClass(Enum):
    MOBILE = "Mobile"
    PC = "PC"
    PAD = "Pad"
    WEB = "Web"
    MINI_WEB = "MiniWeb"
    ADMIN = "Admin"
    HARMONY = "HarmonyOS"


CLASS_OF: dict[Platform, PlatformClass] = {
    Platform.IOS: PlatformClass.MOBILE,
    Platform.ANDROID: PlatformClass.MOBILE,
    Platform.WINDOWS: PlatformClass.PC,
    Platform.OSX: PlatformClass.PC,
    Platform.LINUX: PlatformClass.PC,
    Platform.ANDROID_PAD: PlatformClass.PAD,
    Platform.IPAD: PlatformClass.PAD,
    Platform.WEB: PlatformClass.WEB,
    Platform.MINI_WEB: PlatformClass.MINI_WEB,
    Platform.ADMIN: PlatformClass.ADMIN,
    Platform.HARMONY: PlatformClass.HARMONY,
}
