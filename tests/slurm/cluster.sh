#!/bin/bash
# A SLURM on this machine alone, from Debian's packages, to try profiles/slurm on.
#
#   eval "$(tests/slurm/cluster.sh start)"     # as root
#   snakemake tables --workflow-profile profiles/slurm --configfile configs/smoke.yaml
#   tests/slurm/cluster.sh status
#   tests/slurm/cluster.sh stop
#   tests/slurm/cluster.sh start_node n1       # after its slurmd was killed
#
# `start` installs the packages that are missing, starts the daemons and prints the variables to
# set. Exit status 77: SLURM cannot be started here; the reason is printed.
#
# The daemons are munge, slurmctld and two slurmds. Each slurmd is a node with two pretended GPUs:
# null devices, which SLURM counts and for which it sets CUDA_VISIBLE_DEVICES. Partition gpu is the
# first node, partition cpu both. Everything listens on 127.0.0.1. Keys, configuration, state and
# logs lie in one folder (FIXRES_SLURM, default /tmp/fixres-slurm). Nothing is written to /etc.
set -euo pipefail

folder=${FIXRES_SLURM:-/tmp/fixres-slurm}
port=${FIXRES_SLURM_PORT:-16817} # and the next two
export SLURM_CONF=$folder/slurm.conf
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'cluster: %s\n' "$*" >&2; }
cannot() {
    say "$*"
    exit 77
}

install() {
    local log=$folder/apt.log
    command -v slurmctld slurmd squeue munged >/dev/null && return
    command -v apt-get >/dev/null || cannot "slurmctld, slurmd and munged are not installed," \
        "and there is no apt-get to install them with"
    say "installing slurm-wlm and munge"
    apt_install >"$log" 2>&1 || cannot "apt-get could not install slurm-wlm and munge:" \
        "$(grep -m 1 '^E:' "$log" || tail -n 1 "$log")"
}

apt_install() {
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends slurm-wlm munge
}

configure() {
    local host
    host=$(uname -n)
    host=${host%%.*}
    rm -rf "$folder"/{state,bin,spool-*,gpu*,*.pid,*.log,jobs.txt}
    mkdir -p "$folder/state" "$folder/bin"
    chmod 755 "$folder" # every user must reach munge's socket
    (umask 077 && head -c 1024 /dev/urandom >"$folder/munge.key")
    # Copies of /dev/null: SLURM wants devices, but does not open them.
    mknod "$folder/gpu0" c 1 3 && mknod "$folder/gpu1" c 1 3
    # The jobstep plugin takes every SLURM_* variable away from the srun inside a job, so also
    # SLURM_CONF. This srun sets it again.
    printf '#!/bin/sh\nSLURM_CONF=%s exec %s "$@"\n' "$SLURM_CONF" "$(command -v srun)" \
        >"$folder/bin/srun"
    chmod 755 "$folder/bin/srun"
    # Nothing here needs cgroups or a database. Timers are short, so that tests do not wait for
    # SLURM. (cred_expire is also how long a requeued job must wait.) The nodes pretend to have more
    # processors and memory than the machine has.
    cat >"$folder/slurm.conf" <<CONF
ClusterName=fixres
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=$port
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=1000
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/jobs.txt
GresTypes=gpu
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
ReturnToService=2
SlurmdTimeout=15
BatchStartTimeout=1
MessageTimeout=5
KillWait=10
MinJobAge=300
InactiveLimit=0
OverTimeLimit=0
NodeName=DEFAULT CPUs=64 RealMemory=256000 Gres=gpu:2
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 1))
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 2))
PartitionName=cpu Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=n1 MaxTime=INFINITE State=UP
CONF
    printf 'AutoDetect=off\nNodeName=n[1-2] Name=gpu File=%s/gpu[0-1]\n' "$folder" \
        >"$folder/gres.conf"
}

start_node() { slurmd -f "$SLURM_CONF" -N "$1"; }

id_of() { cat "$folder/$1.pid" 2>/dev/null || echo none; }
alive() { readlink "/proc/$(id_of "$1")/exe" >/dev/null; } # of a zombie the link cannot be read

# Repeat a command until it succeeds, for at most 30 seconds.
until_true() {
    local end=$((SECONDS + 30))
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

node_states() { timeout 5 sinfo -h -N -p cpu -o %t 2>/dev/null | tr '\n' ' '; }
ready() { ! alive slurmctld || [ "$(node_states)" = "idle idle " ]; }
no_jobs() { [ -z "$(timeout 5 squeue -h 2>/dev/null)" ]; }
gone() { ! alive "$1"; }

start() {
    [ "$(id -u)" = 0 ] || cannot "it needs root, to install packages and to run slurmd"
    mkdir -p "$folder"
    if alive slurmctld; then
        say "$folder is in use; stop it first"
        exit 1
    fi
    install
    configure
    munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
        --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" \
        --seed-file="$folder/munged.seed" 2>>"$folder/munged.log"
    slurmctld -f "$SLURM_CONF" -c
    until_true alive slurmctld
    start_node n1
    start_node n2
    if ! until_true ready || ! alive slurmctld; then
        say "the nodes did not come up; see $folder/*.log"
        grep -h -E 'error|fatal' "$folder"/*.log | tail -n 8 >&2
        stop
        exit 1
    fi
    printf 'export SLURM_CONF=%q PATH=%q:$PATH\n' "$SLURM_CONF" "$folder/bin"
}

# End the daemons by the process ids that they wrote down.
stop() {
    local name
    if alive slurmctld; then
        timeout 5 scancel --me || true
        until_true no_jobs || true
    fi
    for name in n1 n2 slurmctld munged; do
        alive "$name" || continue
        kill "$(id_of "$name")"
        until_true gone "$name" || kill -9 "$(id_of "$name")"
    done
}

status() {
    sinfo -N -o '%N %T %c CPUs %m MB %G'
    squeue -o '%i %T %P %N %b %k'
}

case ${1-} in
    start | stop | status) "$1" ;;
    start_node) start_node "${2:?which node: n1 or n2}" ;;
    *) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;; # the comment at the top
esac
