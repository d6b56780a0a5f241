#!/bin/sh
# Stand-in for Sun Java System Messaging Server (lab of mailhost.hardening): what an installer does once.
set -eu
root=/opt/SUNWmsgsr
state=/var/lib/messaging-standin

useradd --system --no-create-home --home-dir "$root" --shell /usr/sbin/nologin mailsrv
mkdir -p "$root/imta/lib" "$root/log" "$state" /var/spool/messaging-standin
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=messaging.example \
  -keyout "$state/key.pem" -out "$state/cert.pem" 2>/dev/null
cat "$state/key.pem" "$state/cert.pem" > "$state/tls.pem"
chown -R mailsrv:mailsrv "$root"
chmod -R u=rwX,go=rX "$root"
"$root/sbin/imsimta" cnbuild
rm -f "$state/calls"
printf '{"user@mail.example": "correct horse"}\n' > "$state/users.json"
