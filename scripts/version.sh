# shellcheck shell=bash disable=SC2034 # Used by those who source it.
# version.sh: sets what everything that is shipped says of itself. For 'source'.
#   version    of Directory.Build.props, or VERSION
#   revision   the commit, or "unknown" outside a repository
#   SOURCE_DATE_EPOCH   when that was committed, so that the same source makes the same files
version=${VERSION:-$(sed -n 's:.*<Version>\(.*\)</Version>.*:\1:p' Directory.Build.props)}
revision=$(git rev-parse HEAD 2> /dev/null || echo unknown)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || stat -c %Y Directory.Build.props)}
export SOURCE_DATE_EPOCH
