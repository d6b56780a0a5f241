"""A milter that asks for nothing and accepts everything, at the socket that its argument names.

Source: libmilter's protocol as Sendmail's documentation and Postfix's MILTER_README have it: packets of a length, a
command, and data; `O` negotiates versions, actions and steps, `D` and `A` get no reply, `Q` ends.
"""

import os
import socket
import socketserver
import struct
import sys


class Handler(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self) -> None:
        """Answer each packet."""
        while True:
            head = self.rfile.read(5)
            if len(head) < 5:
                return
            length, command = struct.unpack("!Ic", head)
            data = self.rfile.read(length - 1)
            if command == b"Q":
                return
            if command == b"O":
                # The version of the client, no actions, every step that it knows.
                self.reply(b"O" + struct.pack("!III", struct.unpack("!I", data[:4])[0], 0, 0))
            elif command not in (b"D", b"A"):
                self.reply(b"c")

    def reply(self, text: bytes) -> None:
        """Send one packet."""
        self.wfile.write(struct.pack("!I", len(text)) + text)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Connections side by side."""

    daemon_threads = True


if __name__ == "__main__":
    path = sys.argv[1]
    if os.path.exists(path):
        os.unlink(path)
    with Server(path, Handler) as server:
        os.chmod(path, 0o666)  # noqa: S103 - of a lab
        assert isinstance(server.socket, socket.socket)
        server.serve_forever()
