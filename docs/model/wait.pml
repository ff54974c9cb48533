/*
 * How txstore reserves, waits and wakes: a model of what the Go code does, for
 * spin to go through in every order in which it can happen. README.md beside
 * this file says what is checked, with which switches, and how to run it.
 *
 * All requests want keys of one number h, so all contend for one key lock and
 * are woken through one wait lock. Two keys of one h is the worst case; keys of
 * different numbers never meet.
 *
 * A connection is a number: request r has OWN(r), and OTHER(r) when it has to ask
 * on a second one. 0 is nobody.
 */

#ifndef N
#define N 3 /* requests: 2, 3 or 4 */
#endif
#ifndef STORES
#define STORES 4 /* bit r: the store, which is to say the process, of request r */
#endif
#ifndef KEYS
#define KEYS 0 /* bit r: the key of request r */
#endif
#ifndef LEASED
#define LEASED 0 /* bit r: request r takes a lease and no transaction */
#endif
#ifndef IMPATIENT
#define IMPATIENT 255 /* the request whose client may give up waiting */
#endif
#ifndef DROPS
#define DROPS 0 /* how often a listener's connection is lost */
#endif
#ifndef CRASHES
#define CRASHES 0 /* 1: the process of store 0 may be killed at any moment */
#endif
#ifndef CUTS
#define CUTS 0 /* how often a connection of the pool is lost */
#endif
#ifndef POLLS
#define POLLS 0 /* how many polls come before anything demands them */
#endif

#define STORE(r) ((STORES >> (r)) & 1)
#define KEY(r) ((KEYS >> (r)) & 1)
#define OWN(r) ((r) + 1)
#define OTHER(r) (N + (r) + 1)
#define FLIGHT(s, k) (2 * (s) + (k))

/* What the server holds. */
byte rec[2];         /* whose record of a key is committed */
byte ins[2];         /* whose INSERT of it is not committed yet */
byte lease[2];       /* who has a lease on it */
byte keylock;        /* who holds the key lock of h */
byte waitexcl;       /* who holds the wait lock exclusively: a wake check, or a COMMIT behind one */
bool waitshared[2];  /* the listener of a store holds it, shared */
bool listening[2];   /* that connection stands, and listens */
bool note[2];        /* a notification is on its way to it */

/* What the memory of a store holds. */
byte flight[4];      /* who leads the flight of a key */
bool seen[N];        /* the key of the flight that r leads was seen in flight */
byte following[N];   /* whom r follows */
byte handed[N];      /* whose record r was handed as a follower, 0 for none */
bool waits[N];       /* r is one of the waiters of its entry */
bool wake[N];        /* r was signalled */
bool registered[2];  /* the entry of h holds */
bool held[2];        /* the session believes that it holds the wait lock */
bool dead[2];        /* the process was killed */

/* What a request asks of the backend that has its transaction, and hears. */
mtype = { none, commitAll, commitResponse, abort, committed, refused };
mtype asked[N] = none;
mtype answer[N] = none;
bool watched[N];     /* somebody waited when the record was inserted */
bool broken[N];      /* nobody is left at the other end of that connection */

byte drops = DROPS;
byte crashes = CRASHES;
byte cuts = CUTS;
byte polls = POLLS;

/* What nobody in the program knows. Only the assertions read it. */
byte records[2];     /* how many records of a key were ever committed */
byte running[2];     /* how many handlers run for a key */
bool evidence[N];    /* the server has shown r that somebody has the key */
bool undone[2];      /* somebody has undone writes to keep only the response */
bool toldNot[N];     /* r has told its client that nothing was committed */

/* Whether anybody in store s waits. */
#define WAITED(s, r) (waits[r] && STORE(r) == (s))
#if N == 2
#define WANTED(s) (WAITED(s, 0) || WAITED(s, 1))
#elif N == 3
#define WANTED(s) (WAITED(s, 0) || WAITED(s, 1) || WAITED(s, 2))
#else
#define WANTED(s) (WAITED(s, 0) || WAITED(s, 1) || WAITED(s, 2) || WAITED(s, 3))
#endif

/*
 * Steps of the server.
 */

inline tryKeyLock(conn, got) {
#ifdef NO_LOCKS
    got = true
#else
    if
    :: keylock == 0 -> keylock = conn; got = true
    :: else -> got = false
    fi
#endif
}

inline freeKeyLock(conn) {
    if
    :: keylock == conn -> keylock = 0
    :: else
    fi
}

inline freeWaitLock(conn) {
    if
    :: waitexcl == conn -> waitexcl = 0
    :: else
    fi
}

inline notify() {
    note[0] = note[0] || listening[0]; note[1] = note[1] || listening[1]
}

/* The wake check of a ROLLBACK, and of a lease, is a transaction of its own: it tries the wait lock in one
 * statement, and a notification leaves when the transaction ends. */
inline wakeCheck(conn, tell) {
#ifdef NO_LOCKS
    skip
#else
    atomic {
        if
        :: !waitshared[0] && !waitshared[1] && waitexcl == 0 -> waitexcl = conn
        :: else -> tell = true
        fi
    }
    atomic {
        if
        :: tell -> tell = false; notify()
        :: else -> waitexcl = 0
        fi
    }
#endif
}

/*
 * A backend executes a commit batch, whether or not its client still listens.
 * One that has lost its client may stop anywhere: what it holds is freed then,
 * and nobody is told.
 */

#define STOPS :: broken[r] -> goto stop

proctype Backend(byte r; byte k) {
    bool got;
end:
    if
    :: asked[r] == commitAll -> goto insert
    :: asked[r] == commitResponse -> goto undo
    :: asked[r] == abort -> goto stop
    fi;
undo:
    /* ROLLBACK, which frees the lock, and the lock again. Not got, somebody was
     * quick, and the unique key decides. */
    if
    :: atomic { true -> freeKeyLock(OWN(r)); undone[k] = true }
    STOPS
    fi;
    if
    :: atomic { true -> tryKeyLock(OWN(r), got); got = false }
    STOPS
    fi;
insert:
    if
    STOPS
#ifdef WRONG_NO_UNIQUE_KEY
    :: true -> skip
#else
    :: atomic { ins[k] == 0 && rec[k] == 0 && lease[k] == 0 -> ins[k] = OWN(r) }
    :: atomic { ins[k] == 0 && (rec[k] != 0 || lease[k] != 0) ->
        /* 23505. Without locks that is all that keeps two apart; with them a run
         * is wasted only when a ROLLBACK has let somebody come in between. */
#ifndef NO_LOCKS
        assert(undone[k]);
#endif
        asked[r] = none; answer[r] = refused; goto end }
#endif
    fi;
#ifndef NO_LOCKS
    /* The INSERT tries the wait lock and, if it is got, keeps it until the
     * transaction ends. */
    if
    :: atomic { waitshared[0] || waitshared[1] || waitexcl != 0 -> watched[r] = true }
#ifdef WRONG_WAKE_NOT_KEPT
    :: atomic { !waitshared[0] && !waitshared[1] && waitexcl == 0 -> skip }
#else
    :: atomic { !waitshared[0] && !waitshared[1] && waitexcl == 0 -> waitexcl = OWN(r) }
#endif
    STOPS
    fi;
#endif
    if
    :: atomic { true ->
        rec[k] = OWN(r); ins[k] = 0; records[k]++;
        assert(records[k] == 1); /* one key, one effect */
        assert(!toldNot[r]) }
    STOPS
    fi;
    /* Visible first, free then. */
    atomic { freeKeyLock(OWN(r)); freeWaitLock(OWN(r)) };
    atomic { asked[r] = none; answer[r] = committed; goto end };
stop:
    atomic {
        freeKeyLock(OWN(r));
        freeWaitLock(OWN(r));
        if
        :: ins[k] == OWN(r) -> ins[k] = 0
        :: else
        fi;
        asked[r] = none;
        goto end
    }
}

/*
 * The listener of a store.
 */

inline signalAll() {
    for (j : 0 .. N - 1) {
        if
        :: WAITED(s, j) -> wake[j] = true
        :: else
        fi
    }
    j = 0
}

/* The lock is held now: whoever waits has to probe. */
inline hold() {
    held[s] = true;
    if
    :: WANTED(s) && !registered[s] ->
        registered[s] = true;
#if defined(WRONG_PROBE_BEFORE_REGISTER)
        skip
#elif defined(WRONG_RECONNECT_SILENT)
        if
        :: again -> skip
        :: else -> signalAll()
        fi
#else
        signalAll()
#endif
    :: else
    fi;
    again = false
}

proctype Session(byte s) {
    byte j;
    bool again;
end:
    atomic { WANTED(s) && !dead[s] -> listening[s] = true; note[s] = false };
end_step:
    do
    :: atomic { dead[s] -> listening[s] = false; waitshared[s] = false; note[s] = false; break }
    :: atomic { !listening[s] && !dead[s] -> held[s] = false; registered[s] = false; again = true; goto end }
    :: atomic { note[s] -> note[s] = false; signalAll() }
    :: atomic { listening[s] && WANTED(s) && held[s] && !registered[s] -> hold() }
    :: listening[s] && WANTED(s) && !held[s] && !dead[s] ->
        /* Refused while a wake check or a COMMIT has it, and tried again until it
         * is got. */
        if
        :: atomic { listening[s] && waitexcl == 0 -> waitshared[s] = true };
            atomic { hold() }
        :: !listening[s] || dead[s]
        fi
    :: atomic { listening[s] && !WANTED(s) && held[s] -> held[s] = false };
        atomic { waitshared[s] = false }
#ifdef IDLES
    :: atomic { listening[s] && !WANTED(s) && !held[s] -> /* for long */
        listening[s] = false; note[s] = false; registered[s] = false; again = false; goto end }
#endif
    od
}

#if DROPS
/* The server forgets a listener's connection; its session learns of it later. */
proctype Drop() {
    byte s;
end:
    do
    :: atomic { drops > 0 && listening[0] -> s = 0; drops--; listening[s] = false; waitshared[s] = false; note[s] = false }
    :: atomic { drops > 0 && listening[1] -> s = 1; drops--; listening[s] = false; waitshared[s] = false; note[s] = false; s = 0 }
    od
}
#endif

/*
 * A request: join, lead or follow, look, wait, run, commit or release.
 */

#if CRASHES
/* The process may be killed wherever it is; nobody in it goes on then. */
#define DIES :: atomic { s == 0 && (crashes > 0 || dead[0]) -> crashes = 0; dead[0] = true; goto die }
#else
#define DIES
#endif

/* letGo: the ROLLBACK, then the wake check. */
inline letGo(conn, tell) {
    atomic { freeKeyLock(conn) };
    if
    :: true -> wakeCheck(conn, tell)
    DIES
    fi
}

/* letGoProbe: who has not got the lock lets go of nothing, and who has found a
 * lease tells nobody either. */
inline letGoProbe(conn, got, tell) {
    if
#if defined(WRONG_PROBER_SILENT)
    :: atomic { true -> freeKeyLock(conn); got = false }
#elif defined(WRONG_SELF_NOTIFY)
    :: true -> got = false; letGo(conn, tell)
#else
    :: got && !leased -> got = false; letGo(conn, tell)
    :: atomic { !got || leased -> freeKeyLock(conn); got = false; leased = false }
#endif
    fi
}

/* flights.end: the flight is over, and its followers are handed a record or 0. */
inline endFlight(record) {
    atomic {
        flight[FLIGHT(s, k)] = 0; seen[r] = false; evidence[r] = false;
        for (j : 0 .. N - 1) {
            if
            :: following[j] == OWN(r) -> following[j] = 0; handed[j] = record
            :: else
            fi
        }
        j = 0
    }
}

/* wait.stop: the last waiter takes the entry along. */
inline unregister() {
    atomic {
        waits[r] = false; wake[r] = false;
        if
        :: !WANTED(s) -> registered[s] = false
        :: else
        fi
    }
}

/* A Reserve ends, for whatever reason, without the key. */
inline leave(record) {
    atomic {
        unregister();
        endFlight(record)
    }
}

#ifdef WRONG_TIMEOUT_UNSEEN
#define SEEN(leader) true
#else
#define SEEN(leader) seen[leader]
#endif

proctype Request(byte r; byte s; byte k) {
    byte j, found;
    bool got, tell, leased, response;
join:
    if
    :: atomic { flight[FLIGHT(s, k)] == 0 -> flight[FLIGHT(s, k)] = OWN(r); goto glance }
    :: atomic { flight[FLIGHT(s, k)] != 0 -> following[r] = flight[FLIGHT(s, k)] }
    DIES
    fi;
    if
    :: atomic { following[r] == 0 && handed[r] == 0 -> goto join }
    :: atomic { following[r] == 0 && handed[r] != 0 -> found = handed[r]; handed[r] = 0; goto replayed }
    :: atomic { r == IMPATIENT && following[r] != 0 && SEEN(following[r] - 1) ->
        assert(evidence[following[r] - 1]); /* "in flight" is true */
        following[r] = 0; goto over }
    DIES
    fi;

glance:
    /* The first look, and that of who was told, may be a SELECT by itself, without
     * the lock: what it sees is committed, and what it does not see is looked for
     * in full. */
    if
    :: atomic { rec[k] != 0 -> found = rec[k] }; leave(found); goto replayed
    :: true
    DIES
    fi;

look:
#if LEASED
    if
    :: (LEASED >> r) & 1 -> goto lookLeased
    :: else
    fi;
#endif
    /* The lock in one statement, the look-up in the next: its snapshot is younger
     * than the lock. */
    if
#ifdef WRONG_ONE_SNAPSHOT
    :: atomic { true -> found = rec[k]; leased = lease[k] != 0 };
        atomic { tryKeyLock(OWN(r), got); evidence[r] = evidence[r] || !got || leased }
#else
    :: atomic { true -> tryKeyLock(OWN(r), got); evidence[r] = evidence[r] || !got };
        atomic { found = rec[k]; leased = lease[k] != 0; evidence[r] = evidence[r] || leased }
#endif
#if CUTS
    /* Its connection breaks behind the lock; it looks again, on another. */
    :: atomic { cuts > 0 && keylock == 0 -> cuts--; keylock = OWN(r) };
        atomic { freeKeyLock(OWN(r)) };
        goto look
#endif
    DIES
    fi;
    if
    :: got && found == 0 && !leased -> goto fresh
    :: else -> letGoProbe(OWN(r), got, tell)
    fi;

#if LEASED
    goto looked;
lookLeased:
    /* One transaction that takes the lock and, if nothing stands there, leaves a
     * lease. Its COMMIT frees the lock and tells nobody. */
    atomic { tryKeyLock(OWN(r), got); evidence[r] = evidence[r] || !got };
    atomic { !got || ins[k] == 0 ->
        found = rec[k];
        evidence[r] = evidence[r] || lease[k] != 0;
        if
        :: got && found == 0 && lease[k] == 0 -> lease[k] = OWN(r)
        :: else
        fi
    };
    atomic { freeKeyLock(OWN(r)); got = false };
    if
    :: found == 0 && lease[k] == OWN(r) -> goto freshLeased
    :: else
    fi;
looked:
#endif

    if
    :: found != 0 -> leave(found); goto replayed
    :: else
    fi;
    atomic { seen[r] = true; assert(evidence[r]) };
    /* Register once; the signal that makes one probe comes when it holds. */
    atomic {
        if
        :: !waits[r] ->
            waits[r] = true;
#ifndef WRONG_PROBE_BEFORE_REGISTER
            wake[r] = registered[s]
#endif
        :: else
        fi
    };
    if
    :: atomic { wake[r] -> wake[r] = false; goto glance }
#if POLLS
    :: atomic { polls > 0 -> polls--; goto look }
#endif
#ifdef POLL
    /* When nothing else can happen any more, the poll does. */
    :: timeout -> goto look
#endif
    :: r == IMPATIENT -> leave(0); goto over
    DIES
    fi;

fresh:
    atomic { seen[r] = true; evidence[r] = true; running[k]++; watched[r] = false;
#ifndef NO_LOCKS
        assert(running[k] == 1); /* no two owners */
#endif
        unregister()
    };
    /* The handler runs. What comes of it? */
    if
    :: atomic { true -> running[k]--; asked[r] = commitAll }
#ifdef RESPONSES
    :: atomic { true -> running[k]--; response = true; asked[r] = commitResponse }
#endif
    :: atomic { true -> running[k]-- };
        letGo(OWN(r), tell); endFlight(0); goto over
#if CRASHES
    :: atomic { s == 0 && (crashes > 0 || dead[0]) -> running[k]--; crashes = 0; dead[0] = true; goto die }
#endif
    fi;
#ifdef WRONG_HAND_OVER_EARLY
    endFlight(OWN(r));
#endif
    if
    :: atomic { answer[r] == committed -> answer[r] = none; goto won }
    :: atomic { answer[r] == refused -> answer[r] = none };
        letGo(OWN(r), tell); endFlight(0); goto join
#if CUTS
    :: atomic { cuts > 0 && asked[r] != none -> cuts--; broken[r] = true; goto resolve }
#endif
    DIES
    fi;

won:
    assert(rec[k] == OWN(r)); /* "committed" is true */
    endFlight(OWN(r));
    /* Its own client has its answer, and then those who wait elsewhere are told. */
    if
    :: atomic { watched[r] -> notify() }
    :: !watched[r]
#if CUTS
    :: atomic { watched[r] && cuts > 0 -> cuts-- }
#endif
    DIES
    fi;
    goto over;

#if CUTS
resolve:
    /* The reply to COMMIT is lost: ask on another connection what became of it. */
    atomic { tryKeyLock(OTHER(r), got); tell = got };
    atomic { found = rec[k] };
    if
    :: atomic { tell -> tell = false };
        letGoProbe(OTHER(r), got, tell);
        tell = found == 0
    :: else
    fi;
    if
    :: atomic { found == OWN(r) -> assert(rec[k] == OWN(r)) };
        endFlight(OWN(r)); goto over
    :: atomic { found != 0 && found != OWN(r) -> found = 0 };
        endFlight(0); goto join
    :: else
    fi;
#ifndef NO_LOCKS
    /* No record, and the lock is free that the transaction holds until its end.
     * One that keeps only the response does not: LIMIT_RESPONSE shows that what
     * is said of it can be wrong. */
    if
#ifdef LIMIT_RESPONSE
    :: atomic { tell -> tell = false; toldNot[r] = true; assert(rec[k] != OWN(r)) };
#else
    :: atomic { tell -> tell = false; toldNot[r] = !response; assert(response || rec[k] != OWN(r)) };
#endif
        endFlight(0); goto over
    :: else
    fi;
#endif
    tell = false;
    /* Not to be known yet: it looks again, or says that it does not know. */
    if
#ifndef NO_LOCKS
    :: keylock == 0 && rec[k] == 0 -> goto resolve
#endif
    :: rec[k] != 0 -> goto resolve
    :: true -> endFlight(0); goto over
    fi;
#endif

#if LEASED
freshLeased:
    atomic { seen[r] = true; evidence[r] = true; running[k]++; assert(running[k] == 1) };
    unregister();
    atomic { running[k]--; assert(lease[k] == OWN(r)); lease[k] = 0;
        if
        :: true -> rec[k] = OWN(r); found = OWN(r); records[k]++; assert(records[k] == 1)
        :: true
        fi };
    wakeCheck(OWN(r), tell);
    endFlight(found);
    goto over;
#endif

replayed:
    assert(found != 0 && rec[k] == found); /* nothing is replayed that is not committed */
#if CRASHES
    goto over;
die:
    atomic {
        broken[r] = true; waits[r] = false; wake[r] = false; following[r] = 0; handed[r] = 0;
        if
        :: asked[r] == none -> asked[r] = abort
        :: else
        fi
    }
#endif
over:
    atomic { found = 0; got = false; tell = false; leased = false; response = false }
}

init {
    byte r;
    atomic {
        for (r : 0 .. N - 1) {
            run Backend(r, KEY(r));
            run Request(r, STORE(r), KEY(r))
        }
        run Session(0);
        run Session(1);
#if DROPS
        run Drop();
#endif
    }
}
