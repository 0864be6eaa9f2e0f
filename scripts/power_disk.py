"""A disk whose power can be cut: one file for a loop device to stand on, served by this process through /dev/fuse.

The loop device hands every write of the file system down as a write of that file, and every flush as an fsync of it (it
promises no forced unit access, so that the kernel makes a flush of that, too). So this process sees what a disk sees, in
that order. It holds two images: what reads show, with every write in it, and what is safe, which a write reaches only with
the next flush. When the power goes, nothing is taken any more: the write or flush of that moment and all later ones fail,
so that nothing above can take them for done. What the disk then holds is the safe image and whatever the lottery adds of
the writes since the last flush, see `lottery`.
"""

import ctypes
import os
import select
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
# Operation codes and layouts: include/uapi/linux/fuse.h.
LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS = 1, 2, 3, 4, 14, 15, 16, 17
RELEASE, FSYNC, FLUSH, INIT, OPENDIR, RELEASEDIR, INTERRUPT, DESTROY, BATCH_FORGET = 18, 20, 25, 26, 27, 29, 36, 38, 42
ROOT, FILE, NAME = 1, 2, b"disk"
MAX_WRITE = 128 << 10
BIG_WRITES = 1 << 5
EIO, ENOENT, ENODEV, ENOSYS, EINTR = 5, 2, 19, 38, 4
FOR_EVER = 1 << 30
SECTOR, BLOCK = 512, 4096
# A disk that lies writes on in its own time, this many writes behind.
BEHIND = 256


class Disk:
    """`image` is the safe one, `live` what reads show; both hold the same when it is switched on."""

    def __init__(self, image, live, cut_after, rng, lies=False):
        self.image = os.open(image, os.O_RDWR)
        self.live = os.open(live, os.O_RDWR)
        self.size = os.fstat(self.live).st_size
        self.cut_after, self.rng, self.lies = cut_after, rng, lies
        self.cache = []  # writes since the last flush: (offset, bytes)
        self.on = True
        self.seen = {"writes": 0, "flushes": 0, "cut_in": None}

    # ---- what a disk does

    def write(self, offset, data):
        if not self.takes("writes"):
            # It may be in the disk, whole or in part, for all that nobody was told so.
            if self.on:
                self.cache.append((offset, data))
                self.off("write")
            return False
        os.pwrite(self.live, data, offset)
        self.cache.append((offset, data))
        if self.lies and len(self.cache) > BEHIND:
            self.keep(*self.cache.pop(0))
        return True

    def flush(self):
        if not self.takes("flushes"):
            if self.on:
                self.off("flush")
            return False
        if not self.lies:
            for one in self.cache:
                self.keep(*one)
            self.cache.clear()
        return True

    def takes(self, what):
        if not self.on or self.seen["writes"] + self.seen["flushes"] >= self.cut_after:
            return False
        self.seen[what] += 1
        return True

    def off(self, moment):
        self.on = False
        self.seen["cut_in"] = moment

    def keep(self, offset, data):
        os.pwrite(self.image, data, offset)

    def lottery(self):
        """What of the writes since the last flush is on the disk after all: nothing, all, or each block of 4 KiB by chance,
        one in eight of these torn between its sectors of 512 bytes. A disk that lies loses the end, in the order of writes."""
        kept = lost = torn = 0
        if self.lies:
            end = self.rng.randrange(len(self.cache) + 1)
            for one in self.cache[:end]:
                self.keep(*one)
            self.seen.update(unflushed=len(self.cache), kept=end, lost=len(self.cache) - end, torn=0)
            return
        chance = self.rng.choice([0.0, 1.0, self.rng.random(), self.rng.random()])
        for offset, data in self.cache:
            for at in range(0, len(data), BLOCK):
                block = data[at : at + BLOCK]
                if 0 < chance < 1 and self.rng.random() < 1 / 8:
                    torn += 1
                    for sector in range(0, len(block), SECTOR):
                        if self.rng.random() < 0.5:
                            self.keep(offset + at + sector, block[sector : sector + SECTOR])
                elif self.rng.random() < chance:
                    kept += 1
                    self.keep(offset + at, block)
                else:
                    lost += 1
        self.seen.update(unflushed=kept + lost + torn, kept=kept, lost=lost, torn=torn)

    # ---- how the kernel asks for it

    def serve(self, fuse, control):
        """Until it is unmounted. `control` hears one byte when the power goes; a byte from there cuts it."""
        buffer = bytearray(MAX_WRITE + 4096)
        while True:
            ready, _, _ = select.select([fuse, control], [], [])
            if control in ready and control.recv(1) and self.on:
                self.off("idle")
                control.send(b"c")
            if fuse not in ready:
                continue
            try:
                length = os.readv(fuse, [buffer])
            except OSError as error:
                if error.errno == ENODEV:
                    break
                if error.errno in (ENOENT, EINTR):
                    continue
                raise
            on = self.on
            self.answer(fuse, bytes(memoryview(buffer)[:length]))
            if on and not self.on:
                control.send(b"c")
        if self.on:
            self.off("unmounted")
        self.lottery()
        os.close(self.image)
        os.close(self.live)

    def answer(self, fuse, request):
        _, code, unique, node = struct.unpack_from("<IIQQ", request)
        if code in (FORGET, BATCH_FORGET, INTERRUPT):
            return  # these have no answer
        body = request[40:]
        error, reply = 0, b""
        if code == INIT:
            flags = struct.unpack_from("<4I", body)[3]
            reply = struct.pack("<4I2H2I", 7, 31, 128 << 10, flags & BIG_WRITES, 16, 12, MAX_WRITE, 1).ljust(64, b"\0")
        elif code == LOOKUP:
            if node == ROOT and body.rstrip(b"\0") == NAME:
                reply = struct.pack("<4Q2I", FILE, 1, FOR_EVER, FOR_EVER, 0, 0) + self.attributes(FILE)
            else:
                error = ENOENT
        elif code in (GETATTR, SETATTR):
            reply = struct.pack("<Q2I", FOR_EVER, 0, 0) + self.attributes(node)
        elif code in (OPEN, OPENDIR):
            reply = struct.pack("<Q2I", 0, 0, 0)
        elif code == READ:
            _, offset, length = struct.unpack_from("<QQI", body)
            reply = os.pread(self.live, length, offset)
        elif code == WRITE:
            _, offset, length = struct.unpack_from("<QQI", body)
            if self.write(offset, body[40 : 40 + length]):
                reply = struct.pack("<2I", length, 0)
            else:
                error = EIO
        elif code == FSYNC:
            error = 0 if self.flush() else EIO
        elif code == STATFS:
            blocks = self.size // BLOCK
            reply = struct.pack("<5Q4I", blocks, blocks, blocks, 2, 2, BLOCK, 255, BLOCK, 0).ljust(80, b"\0")
        elif code not in (RELEASE, RELEASEDIR, FLUSH, DESTROY):
            error = ENOSYS  # among them the making of holes: the kernel then writes zeros
        try:
            os.write(fuse, struct.pack("<IiQ", 16 + len(reply), -error, unique) + reply)
        except OSError as failure:
            if failure.errno != ENOENT:  # the asker has gone
                raise

    def attributes(self, node):
        mode, size = (0o100600, self.size) if node == FILE else (0o040700, 0)
        return struct.pack("<6Q10I", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, BLOCK, 0)


def mount(folder):
    """A FUSE file system at `folder`; gives the descriptor that its requests come from."""
    fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
    if LIBC.mount(b"power-disk", os.fsencode(folder), b"fuse", 0, options) != 0:
        errno = ctypes.get_errno()
        os.close(fuse)
        raise OSError(errno, f"cannot mount a FUSE file system: {os.strerror(errno)}")
    return fuse
