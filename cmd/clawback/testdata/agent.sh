#!/bin/bash
# An agent that acts all the time, and when it is told to end. Each act is a line: when, in
# microseconds since 1970, and what. Usage: agent.sh FILE [WHAT: act once].
act() { echo "${EPOCHREALTIME/[.,]/} $1" >>"$acts"; }
acts=$1
if [ $# -gt 1 ]; then
  act "$2"
  exit
fi
trap 'act "last word"' TERM HUP INT
while :; do
  act tick
  sleep 0.01
done
