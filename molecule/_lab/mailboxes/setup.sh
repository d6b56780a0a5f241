#!/bin/sh
# What an administrator has done on a mail host before our role comes: a name, a certificate, two users with mailboxes
# of the system, and Dovecot to check their passwords. All else is as Debian ships it.
set -eu
name=$(hostname).example
certificate=/etc/ssl/certs/$name.pem
key=/etc/ssl/private/$name.key

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$name" \
  -keyout "$key" -out "$certificate" 2>/dev/null
postconf -e "myhostname = $name" "smtpd_tls_cert_file = $certificate" "smtpd_tls_key_file = $key"
# Postfix waits two seconds for a file that has just been written.
touch --date='10 seconds ago' /etc/postfix/main.cf
printf 'post: ann\nabuse: root\n' >> /etc/aliases
newaliases

# Where Dovecot is to listen; on Debian 13 only the first start of Postfix makes it.
install --directory --mode 700 --owner postfix --group root /var/spool/postfix/private
: > /etc/dovecot/lab-users
chmod 640 /etc/dovecot/lab-users
chgrp dovecot /etc/dovecot/lab-users
for user in ann bob; do
  useradd --create-home --shell /usr/sbin/nologin "$user"
  printf '%s@mail.example:{PLAIN}correct horse\n' "$user" >> /etc/dovecot/lab-users
done
# Passwords of system users are for logins by another name.
sed -i 's/^!include auth-system/#&/' /etc/dovecot/conf.d/10-auth.conf

case $(dovecot --version) in
  2.3.*) passwords='passdb {
  driver = passwd-file
  args = username_format=%u /etc/dovecot/lab-users
}
userdb {
  driver = passwd
}' ;;
  *) passwords='passdb passwd-file {
  passwd_file_path = /etc/dovecot/lab-users
}
userdb passwd {
}' ;;
esac
cat > /etc/dovecot/conf.d/99-lab.conf <<CONF
auth_mechanisms = plain login
# Tests do not wait after a failed login.
auth_failure_delay = 0
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
$passwords
service auth {
  unix_listener /var/spool/postfix/private/auth {
    mode = 0660
    user = postfix
    group = postfix
  }
}
CONF
