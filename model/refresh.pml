/*
 * The refresh of one rotating refresh token by two processes that share a replicated store: what `cargo xtask model`
 * checks. README.md beside this file says what is modelled and what is not; ARCHITECTURE.md and
 * crates/token-core/src/protocol use the same words.
 *
 * There is no time. Every process may pause between any two steps, every message may be late or lost, and without a
 * rule an intent may be taken over at once. What the protocol knows by a clock is a guard over the whole system here:
 * an assumption.
 *
 * One refresh, as in protocol/mod.rs:
 *
 *   swap Idle(g) -> InFlight(g)     the intent    IDLE       -> ACQUIRING
 *   exchange, once                                ACQUIRING  -> EXCHANGING
 *   the answer is in memory                       EXCHANGING -> COMMITTING
 *   swap InFlight(g) -> Idle(g+1)   the commit    COMMITTING -> FINISHING -> IDLE
 *
 * The scope:
 *   CRASHES, FAILOVERS    how many there may be (default 0)
 *   GENERATIONS           the last generation (default 3)
 *
 * The rules, by the flag that puts each in force:
 *   QUARANTINE            another's intent is taken over only when its request must be over: its sender is not about to
 *                         send, and neither request nor answer is under way
 *   QUARANTINE_ANSWER     the weaker assumption: only the way from the answer to its commit is bounded. The sender may
 *                         pause before it sends, and the request may be delayed, for any time
 *   ASSERTION_EXPIRES     the request carries an expiry that the server enforces before it looks at the refresh token
 *                         (the `exp` of a client assertion, RFC 7523 section 3); a takeover comes after it
 *   REQUIRE_LOGIN         UnknownOutcome::RequireLogin: a token that was perhaps presented is never presented again
 *   WAIT_INTENT           the exchange waits until the store's replica has this attempt's own intent
 *   SETTLE                the settle barrier: after a failover all processes re-assert what they know before anyone
 *                         presents
 *
 * How an answer is committed. Without a flag it is the join rule, fenced by generation: over any older record, whoever
 * holds the intent.
 *   COMMIT_BLIND          over whatever is there, as a lock with a time limit and a plain SET does it
 *   COMMIT_BY_OWNER       only while its sender still holds the intent: textbook fencing
 *
 * Two questions, for runs that show that a search was not empty:
 *   NEVER_REVOKED         asserts that the family is never revoked at all, not even when nobody could have avoided it
 *   NEVER_LAST            asserts that the last generation is never committed
 */
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef FAILOVERS
#define FAILOVERS 0
#endif
#ifndef GENERATIONS
#define GENERATIONS 3
#endif

/* The state of a record. It names its holder while it is IN_FLIGHT. */
#define RESTING 0
#define IN_FLIGHT 1
#define NOBODY 0
#define ME (i + 1)
#define OTHER (1 - i)

/* The phase of a process. */
#define IDLE 0
#define ACQUIRING 1
#define EXCHANGING 2
#define COMMITTING 3
#define FINISHING 4

/* In place of a generation: no message, nothing known; and the answer that refuses a request. */
#define NONE 0
#define REFUSED 255

/* The record as the store has it, and as its replica has it: the store after a failover. */
byte s_gen = 1, s_state = RESTING, s_holder = NOBODY;
byte r_gen = 1, r_state = RESTING, r_holder = NOBODY;

/* The authorization server: the generation that is live, and whether the family was revoked. */
byte live = 1;
bool revoked = false;

/* Each process: the newest generation that it knows (the high-water mark; also an answer, before its commit), its
   phase, and the generation that its attempt presents. */
byte known[2], phase[2], base[2];
/* Its request and its answer under way, by generation, and whether its request has expired. */
byte request[2], answer[2];
bool expired[2];

byte crashes = CRASHES, failovers = FAILOVERS;

/* What is asserted never to be. `cargo xtask model` reads these names. */
bool avoidable_loss = false;     /* the family is revoked while the live token exists somewhere */
bool live_token_dropped = false; /* the only holder of the live token throws it away */
bool store_went_back = false;    /* a commit replaces a newer record */
bool token_from_nowhere = false; /* a token is presented that was never issued: an error of this model */
bool family_revoked = false;     /* NEVER_REVOKED */
bool last_reached = false;       /* NEVER_LAST */

#define EXISTS(g) (s_gen == g || r_gen == g || known[0] == g || known[1] == g || answer[0] == g || answer[1] == g)
#define NOTHING_UNDER_WAY(p) (request[p] == NONE && answer[p] == NONE)

/* Another's intent, and one's own from before a crash or a lost answer, may be taken over. */
#if defined(QUARANTINE_ANSWER)
#define OTHER_IS_OVER (answer[OTHER] == NONE && phase[OTHER] != COMMITTING)
#define MINE_IS_OVER NOTHING_UNDER_WAY(i)
#elif defined(QUARANTINE)
#define OTHER_IS_OVER ((phase[OTHER] == IDLE || phase[OTHER] == FINISHING) && NOTHING_UNDER_WAY(OTHER))
#define MINE_IS_OVER NOTHING_UNDER_WAY(i)
#else
#define OTHER_IS_OVER true
#define MINE_IS_OVER true
#endif

#ifdef REQUIRE_LOGIN
#define MAY_PRESENT_AGAIN false
#else
#define MAY_PRESENT_AGAIN true
#endif

#ifdef SETTLE
#define SETTLED (known[0] <= s_gen && known[1] <= s_gen)
#else
#define SETTLED true
#endif

/* The replica's intent has to be this attempt's own: one of another attempt may be undone by the next failover. Where
   the record has moved on there is nothing to wait for, and nothing to send. */
#ifdef WAIT_INTENT
#define MOVED_ON (s_gen != base[i] || s_holder != ME)
#define INTENT_REPLICATED (r_gen > base[i] || (r_gen == base[i] && r_state == IN_FLIGHT && r_holder == ME))
#define MAY_SEND_OR_UNDO (INTENT_REPLICATED || MOVED_ON)
#define INTENT_STANDS (!MOVED_ON && s_state == IN_FLIGHT)
#else
#define MAY_SEND_OR_UNDO true
#define INTENT_STANDS true
#endif

#ifdef ASSERTION_EXPIRES
#define ENFORCED true
#else
#define ENFORCED false
#endif

/* The gate before every intent: the grant is alive, this process is at rest, and what the store shows is not below its
   high-water mark. */
#define MAY_ACQUIRE (!revoked && phase[i] == IDLE && s_gen < GENERATIONS && known[i] <= s_gen && SETTLED)

/* The swap that stores the intent. A request of this process that has expired is as good as gone. */
inline acquire() {
    s_state = IN_FLIGHT; s_holder = ME;
    base[i] = s_gen; known[i] = s_gen;
    request[i] = ((ENFORCED && expired[i]) -> NONE : request[i]); expired[i] = false;
    phase[i] = ACQUIRING
}

inline store_answer() { s_gen = known[i]; s_state = RESTING; s_holder = NOBODY }

inline commit() {
#if defined(COMMIT_BLIND)
    store_went_back = known[i] < s_gen && !revoked;
    assert(!store_went_back);
    store_answer();
#elif defined(COMMIT_BY_OWNER)
    if
    :: s_holder == ME && s_gen == base[i] -> store_answer()
    :: else ->
        live_token_dropped = !revoked && known[i] == live && s_gen != live;
        assert(!live_token_dropped);
        known[i] = NONE
    fi;
#else
    if
    :: known[i] > s_gen -> store_answer()
    :: else -> skip /* a sibling's generation, or this very answer, is there already */
    fi;
#endif
#ifdef NEVER_LAST
    last_reached = s_gen == GENERATIONS;
    assert(!last_reached);
#endif
    phase[i] = FINISHING
}

/* One process of the service. What each step needs of time is in its guard. */
proctype Process(byte i) {
end:
    do
    /* Nobody holds an intent: a refresh begins. */
    :: atomic { MAY_ACQUIRE && s_state == RESTING -> acquire() }

    /* Takeover: the other's intent has stood long enough. Its request has expired by then. */
    :: atomic { MAY_ACQUIRE && s_state == IN_FLIGHT && s_holder != ME && MAY_PRESENT_AGAIN && OTHER_IS_OVER ->
            expired[OTHER] = true; request[OTHER] = (ENFORCED -> NONE : request[OTHER]);
            acquire() }

    /* The same for an own intent whose outcome is unknown. */
    :: atomic { MAY_ACQUIRE && s_state == IN_FLIGHT && s_holder == ME && MAY_PRESENT_AGAIN && MINE_IS_OVER ->
            request[i] = NONE; answer[i] = NONE;
            acquire() }

    /* The high-water mark: a store that fell back is repaired, and a store that is ahead is followed. */
    :: atomic { !revoked && phase[i] == IDLE && known[i] > s_gen -> store_answer() }
    :: atomic { !revoked && phase[i] == IDLE && known[i] < s_gen -> known[i] = s_gen }

    /* The exchange. */
    :: atomic { phase[i] == ACQUIRING && request[i] == NONE && MAY_SEND_OR_UNDO ->
            if
            :: INTENT_STANDS -> request[i] = base[i]; phase[i] = EXCHANGING
            :: else -> phase[i] = IDLE
            fi }

    /* The answer, also one that comes after its sender gave up. */
    :: atomic { (phase[i] == EXCHANGING || phase[i] == IDLE) && answer[i] != NONE ->
            if
            :: answer[i] == REFUSED -> phase[i] = IDLE
            :: else -> known[i] = answer[i]; phase[i] = COMMITTING
            fi;
            answer[i] = NONE }

    /* Nothing can come any more: the outcome is unknown, and the intent stays. */
    :: atomic { phase[i] == EXCHANGING && NOTHING_UNDER_WAY(i) -> phase[i] = IDLE }

    :: atomic { phase[i] == COMMITTING -> commit() }
    :: atomic { phase[i] == FINISHING -> phase[i] = IDLE; base[i] = NONE }

    /* A crash: all memory is lost. A request under way goes on. The network may lose its answer, as it would then, or
       deliver it: more than can happen, so no error is hidden. */
    :: atomic { crashes > 0 && (phase[i] != IDLE || known[i] != NONE) ->
            crashes--; known[i] = NONE; phase[i] = IDLE; base[i] = NONE; answer[i] = NONE }
    od
}

/* Carries out the request of process i. It goes on whether its sender still waits or not; an answer to a sender that
   has begun something else finds nobody. */
inline serve(i) {
    if
    :: revoked || (ENFORCED && expired[i]) -> answer[i] = REFUSED
    :: else ->
        token_from_nowhere = request[i] > live;
        assert(!token_from_nowhere);
        if
        :: request[i] == live -> live++; answer[i] = live
        :: else -> /* a token used twice: the family is revoked (RFC 9700 section 4.14.2) */
            avoidable_loss = EXISTS(live);
            assert(!avoidable_loss);
#ifdef NEVER_REVOKED
            family_revoked = true;
            assert(!family_revoked);
#endif
            revoked = true; answer[i] = REFUSED
        fi
    fi;
    answer[i] = ((phase[i] == EXCHANGING || phase[i] == IDLE) -> answer[i] : NONE);
    request[i] = NONE
}

proctype Server() {
end:
    do
    :: atomic { request[0] != NONE -> serve(0) }
    :: atomic { request[1] != NONE -> serve(1) }
    od
}

proctype Network() {
end:
    do
    :: atomic { request[0] != NONE -> request[0] = NONE }
    :: atomic { request[1] != NONE -> request[1] = NONE }
    :: atomic { answer[0] != NONE -> answer[0] = NONE }
    :: atomic { answer[1] != NONE -> answer[1] = NONE }
    od
}

/* Replication copies the whole record, at any time or never; a failover makes the replica's record the store's. */
proctype Store() {
end:
    do
    :: atomic { s_gen != r_gen || s_state != r_state || s_holder != r_holder ->
            r_gen = s_gen; r_state = s_state; r_holder = s_holder }
    :: atomic { failovers > 0 -> failovers--; s_gen = r_gen; s_state = r_state; s_holder = r_holder }
    od
}

init {
    atomic {
        known[0] = 1; known[1] = 1;
        run Process(0); run Process(1); run Server(); run Network(); run Store()
    }
}
