#compdef tcmu-gateway
# zsh completion of tcmu-gateway. The program itself says what may come next; where it says nothing, files are completed.
_tcmu_gateway() {
    local -a found
    found=("${(@f)$("${words[1]}" "[suggest:$CURSOR]" "$BUFFER" 2>/dev/null)}")
    found=("${(@)${(@)found:#}:#/[?h]}")
    if (( ${#found} )); then
        compadd -- "${found[@]}"
    else
        _files
    fi
}
if [[ $funcstack[1] == _tcmu-gateway ]]; then
    _tcmu_gateway "$@"
else
    compdef _tcmu_gateway tcmu-gateway
fi
