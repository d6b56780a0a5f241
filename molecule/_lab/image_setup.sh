#!/bin/sh
# Runs in a new image: what makes a plain Debian mail host usable as a host of the lab.
set -eu

# Each container brings its own host keys, which are pinned in the controller's known_hosts.
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub

# The image must not remember the name of the machine that built it.
postconf -e myhostname=mail.example
echo mail.example > /etc/mailname
: > /etc/machine-id

# Nothing in the lab may talk to anything beyond it: no default route, and no timer that downloads.
cat > /etc/systemd/system/lab-no-default-route.service <<'UNIT'
[Unit]
Description=Keeps the packets of the lab in the lab
DefaultDependencies=no
Before=network-pre.target ssh.service
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'ip -4 route flush default; ip -6 route flush default'

[Install]
WantedBy=sysinit.target
UNIT
systemctl enable lab-no-default-route.service
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer; do
  systemctl mask "$unit"
done
# The DNSBL server runs only where the stand-in brings the lists; it has a unit of its own.
systemctl mask rbldnsd.service
systemctl enable ssh.service postfix.service dovecot.service
systemctl set-default multi-user.target

# Sessions of root last as long as the container; the journal is what the lab shows when something fails.
mkdir -p /root/.ssh /etc/systemd/journald.conf.d
chmod 700 /root/.ssh
printf '[Journal]\nStorage=volatile\n' > /etc/systemd/journald.conf.d/lab.conf
