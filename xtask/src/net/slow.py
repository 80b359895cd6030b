"""A slow, lossy wire between two network devices that it makes: FIRST and SECOND.

usage: slow.py FIRST SECOND DELAY_MS LOSS_PERCENT SEED

Prints "ready" once both are there, and ends with its standard input. Frames of each direction stay in
order. Losses repeat from the seed as far as the frames do.
"""

import collections
import fcntl
import os
import random
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
# Frames that are under way in one direction at most, as netem has it.
LIMIT = 1000


def device(name):
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return tap


def main():
    ends = [device(sys.argv[1]), device(sys.argv[2])]
    delay, loss = int(sys.argv[3]) / 1000, float(sys.argv[4]) / 100
    chance = random.Random(int(sys.argv[5]))
    under_way = collections.deque()
    counts = [0, 0]
    print("ready", flush=True)
    while True:
        wait = max(0, under_way[0][0] - time.monotonic()) if under_way else None
        readable, _, _ = select.select([0, *ends], [], [], wait)
        if 0 in readable and not os.read(0, 4096):
            return
        for side, end in enumerate(ends):
            while end in readable:
                try:
                    frame = os.read(end, 65536)
                except (BlockingIOError, OSError):
                    break
                if chance.random() >= loss and counts[side] < LIMIT:
                    counts[side] += 1
                    under_way.append((time.monotonic() + delay, side, frame))
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            _, side, frame = under_way.popleft()
            counts[side] -= 1
            try:
                os.write(ends[1 - side], frame)
            except OSError:
                pass


main()
