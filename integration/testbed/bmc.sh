# bmc.sh ADDRESS PORT get NAME... | set NAME VALUE... | check NAME VALUE...
# What ipmi_sim runs to learn and to change the chassis: asks the test. Its answer begins with a line "ok", or the call fails.
set -eu
exec 3<>"/dev/tcp/$1/$2"
shift 2
echo "$@" >&3
read -r verdict <&3
[ "$verdict" = ok ] || exit 1
cat <&3
