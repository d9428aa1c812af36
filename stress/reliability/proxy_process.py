"""The proxy in a process of its own, and the orders to it.

python -m stress.reliability.proxy_process TARGET_PORT      (started by the harness)

It says on stdout on which ports it listens and ends when its stdin does.  Orders come over a second
port, from the harness and from people who cut their own connection: one JSON line, one JSON answer.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Literal

import msgspec
import trio

from stress.reliability.proxy import Proxy

ORDER_LIMIT = 10.0
LONGEST_LINE = 65536


class Ports(msgspec.Struct):
    clients: int
    orders: int


class Order(msgspec.Struct, frozen=True):
    """`users` None: everybody.  `seconds`: of a block, or the delay."""

    do: Literal["cut", "block", "silence", "delay", "arm", "count"]
    users: list[str] | None = None
    seconds: float = 0.0


async def give(port: int, order: Order) -> int:
    """How many connections it concerns.  Raises OSError, trio.TooSlowError."""
    with trio.fail_after(ORDER_LIMIT):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(msgspec.json.encode(order) + b"\n")
            return msgspec.json.decode(await _line(stream), type=int)


def obey(proxy: Proxy, order: Order) -> int:
    users = order.users
    match order.do:
        case "cut":
            return proxy.cut(users)
        case "block":
            return sum(proxy.block(user, order.seconds) for user in users or ())
        case "silence":
            return proxy.silence(users)
        case "delay":
            proxy.delay = order.seconds
            return 0
        case "arm":
            return proxy.arm(users or ())
        case "count":
            return proxy.cut_before_ack


async def take_orders(proxy: Proxy, stream: trio.SocketStream) -> None:
    with trio.move_on_after(ORDER_LIMIT):
        try:
            count = obey(proxy, msgspec.json.decode(await _line(stream), type=Order))
            await stream.send_all(msgspec.json.encode(count) + b"\n")
        except (trio.BrokenResourceError, msgspec.MsgspecError):
            return


async def _line(stream: trio.SocketStream) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        more = await stream.receive_some(LONGEST_LINE)
        data += more
        if not more or len(data) > LONGEST_LINE:
            break
    return data


async def main(target: int) -> None:
    proxy = Proxy(target)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.run)
        handler = partial(take_orders, proxy)
        [orders] = await nursery.start(partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
        ports = Ports(proxy.port, orders.socket.getsockname()[1])
        print(msgspec.json.encode(ports).decode(), flush=True)
        async with trio.lowlevel.FdStream(os.dup(0)) as stdin:
            async for _ in stdin:
                pass
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]))
