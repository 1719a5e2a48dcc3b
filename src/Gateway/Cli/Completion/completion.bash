# bash completion of tcmu-gateway. The program itself says what may come next; where it says nothing, files are completed.
_tcmu_gateway() {
    local IFS=$'\n' cur=${COMP_LINE:0:COMP_POINT} words
    words=$("${COMP_WORDS[0]}" "[suggest:$COMP_POINT]" "$COMP_LINE" 2>/dev/null | grep -v "^/[?h]\$")
    cur=${cur##*[[:space:]]}
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    # Readline replaces only what follows the last of its word breaks: names of targets have colons.
    local prefix=${cur%"${cur##*[:=]}"}
    [[ -z $prefix ]] || COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
}
complete -o bashdefault -o default -F _tcmu_gateway tcmu-gateway
