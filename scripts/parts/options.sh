# A script's options, read into variables.
# Needs refusal.sh.
# shellcheck shell=bash

# read_options OPTION=VARIABLE ... SWITCH+VARIABLE ... -- ARGUMENT ...: `namespace=NAMESPACE` takes the option
# --namespace VALUE or --namespace=VALUE (-n too), `promote+PROMOTE` the switch --promote (1). -h prints usage.
# What is none of them is left in WORDS, all after `--` in REST.
read_options() {
  local -A valued=() switches=()
  while [ "$1" != -- ]; do
    case $1 in
      *+*) switches[--${1%%+*}]=${1#*+} ;;
      *) valued[--${1%%=*}]=${1#*=} ;;
    esac
    shift
  done
  shift
  WORDS=() REST=()
  local name
  while [ $# -gt 0 ]; do
    name=${1%%=*}
    [ "$name" != -n ] || name=--namespace
    if [ "$1" = -h ] || [ "$1" = --help ]; then
      usage
      exit 0
    elif [ "$1" = -- ]; then
      # shellcheck disable=SC2034 # for the scripts that source this
      REST=("${@:2}")
      return
    elif [ -n "${switches[$name]:-}" ]; then
      printf -v "${switches[$name]}" 1
    elif [ -n "${valued[$name]:-}" ]; then
      [[ $1 == *=* ]] || { need_value "$@" && set -- "$1=$2" "${@:3}"; }
      [ -n "${1#*=}" ] || refuse "$name needs a value: $(basename "$0") -h"
      printf -v "${valued[$name]}" %s "${1#*=}"
    else
      WORDS+=("$1")
    fi
    shift
  done
}

# no_more_words: the script takes nothing but its options.
no_more_words() {
  [ ${#WORDS[@]} = 0 ] || refuse_option "${WORDS[0]}"
}
