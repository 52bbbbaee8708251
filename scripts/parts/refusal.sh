# How a script says no: one line on stderr, exit code 2 (the command or the configuration is wrong).
# shellcheck shell=bash

# refuse LINE
refuse() {
  echo "$(basename "$0"): $1" >&2
  exit 2
}

# need_value OPTION [VALUE ...]: the option was the last word, or an option follows where its value should be.
need_value() {
  if [ $# -lt 2 ] || [ -z "$2" ] || [[ $2 == -* ]]; then
    refuse "$1 needs a value: $(basename "$0") -h"
  fi
}

# refuse_option WORD: the script has no such option.
refuse_option() {
  refuse "no option $1: $(basename "$0") -h lists them"
}

# need_count NAME VALUE: a whole number from 1 on, as a person counts.
need_count() {
  [[ $2 =~ ^[1-9][0-9]{0,5}$ ]] || refuse "$1 $2: write a whole number from 1 on, such as $1 2"
}
