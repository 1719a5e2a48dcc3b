# fish completion of tcmu-gateway. The program itself says what may come next; where it says nothing, files are completed.
function __tcmu_gateway_knows
    set -l line (commandline -cp)
    set -g __tcmu_gateway_words (tcmu-gateway "[suggest:"(string length -- "$line")"]" "$line" 2>/dev/null | string match -rv '^(/[?h])?$')
    test (count $__tcmu_gateway_words) -gt 0
end
complete -c tcmu-gateway -n __tcmu_gateway_knows -f -a '$__tcmu_gateway_words'
