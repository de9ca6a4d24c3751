//! Planted mistakes. Each breaks one rule of the protocol, and the checks must catch it in its
//! [timeline](super::timelines), which the correct protocol passes.

macro_rules! mistakes {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Mistake {
            $($(#[doc = $doc])* $name,)*
        }

        impl Mistake {
            pub(super) const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

mistakes! {
    // Scripts.
    /// A lost bucket is re-created as if nothing in it had ever been invalidated.
    LostBucketStartsEmpty,
    /// A sequence behind the caller's last known value is used as it is.
    SequenceThatWentBackCounts,
    /// An invalidation records the sequence's value from before its own increment.
    MarksWithTheOldSequence,
    /// Trimming a bucket drops tags without raising the floor.
    TrimKeepsTheFloor,
    /// A number in a bucket that can't be true stays there.
    DamagedRecordsStay,
    /// A repair pushes the sequence forward but keeps the buckets, and the holds.
    RepairKeepsTheBuckets,
    /// A lease is granted although it is held.
    LeaseIsTakenAway,
    /// A lease is granted although an entry was stored after the caller's read.
    LeaseIgnoresNewEntries,
    /// A release ignores the token.
    ReleasesAnyonesLease,
    /// A store ignores the token.
    StoresWithoutTheLease,

    // Holds.
    /// A lost set of holds is taken for an empty one.
    LostHoldsCountAsNone,
    /// A lost set comes back with a hold on everything, and nothing is invalidated at once.
    LostHoldsInvalidateLate,
    /// A hold whose tags were lost invalidates nothing.
    LostTagsInvalidateNothing,
    /// An end that is too far ahead, because the server's time was set back, counts as over.
    EndsBeyondAreOver,
    /// What a script settles is published under the name of whoever sent it.
    SettledUnderOwnName,
    /// Placing and renewing a hold isn't a numbered invalidation, so a failover loses it unnoticed.
    HoldsAreNotNumbered,
    /// A script settles after it has read the sequence.
    SettlesAfterTheSequence,
    /// A renewal doesn't place a lost hold again.
    RenewalsDontReplace,
    /// A repair of a sequence that went back keeps the holds.
    RepairKeepsTheHolds,
    /// A hold is removed when its writer goes away.
    HoldsEndWhenDropped,
    /// A read doesn't look at the holds.
    ReadsDontSettle,
    /// A read gets the earliest end of a hold after the sequence.
    EndsAfterTheSequence,

    // Remembered invalidations.
    /// They are recorded after the first read.
    RememberedAfterTheRead,
    /// A full queue forgets the oldest.
    FullQueuesForget,

    // Reads.
    /// The log judges without comparing the sequence with what was heard.
    LogIgnoresTheSequence,
    /// A connection counts as introduced before its message has come back.
    ConnectionsIntroduceThemselves,
    /// The bus isn't told that the subscription moved to another server.
    ReconnectsAreNotNoticed,
    /// The buckets are read before the sequence.
    BucketsBeforeTheSequence,
    /// What the buckets said is dated by the sequence known when the answer arrives.
    FactsCountFromTheAnswer,
    /// A read takes a lost bucket for an empty one.
    LostBucketCountsAsEmpty,
    /// An entry with a stamp ahead of the sequence is judged like any other.
    EntriesMayBeAhead,
    /// A process believes the number of any message.
    MessagesAreBelieved,
    /// An invalidation counts although its number was known before, in a part of the order that was lost.
    OldNumbersCount,
    /// A process that was refused leaves the sequence as it is if it has been counted up to what the process knows.
    RefusalsCanBeOvertaken,
    /// A heartbeat through a new connection doesn't look for the last known invalidation.
    NobodyLooksForTheLastOne,

    // Memory.
    /// Memory is used however long ago the last heartbeat was.
    MemoryIsTrustedForEver,
    /// Trust counts from the answer of a heartbeat, not from its request.
    TrustFromTheAnswer,
    /// Memory ignores doubts.
    DoubtsAreIgnored,
    /// An own invalidation marks memory at its beginning instead of its end.
    MarksMemoryFirst,
    /// An own invalidation that fails doesn't mark memory.
    FailureMarksNothing,
    /// Messages of own invalidations that failed aren't delivered to memory.
    FailedInvalidationsAreForgotten,

    // Runs.
    /// A run takes its stamp from the sequence after the body.
    StampAfterTheBody,
    /// A run without a lease takes its stamp from the known sequence after the body.
    KnownAfterTheBody,
    /// A run takes its stamp from the epoch after the body.
    EpochAfterTheBody,
    /// An entry from Redis gets the epoch from after the read.
    EpochAfterTheRead,
    /// The trust in an entry from Redis counts from the answer of the read.
    AssuredFromTheAnswer,
    /// The trust in an entry counts from its own run, however old its parts are.
    EachLevelIsAssuredAnew,
    /// A parent puts its own stamp on inherited tags.
    ParentsStampWhatTheyInherit,
    /// A hit in memory isn't reported to the calling run.
    HitsAreNotReported,
    /// Storing an entry doesn't create the buckets of tags that the body added.
    StoresMakeNoBuckets,
    /// A flight whose leader is dropped isn't ended.
    DroppedLeadersLeaveTheirFlights,
    /// A waiter takes the result of any flight, whenever its run began.
    AnyFlightAnswers,
    /// The result of a run replaces that of a refresh that began later.
    OlderRunsReplaceNewer,
    /// Where two runs of a key are under way, a call only waits for the end of the later one.
    OnlyTheLatestMakesRoom,
    /// Those who wait for a flight aren't told that it has waited in vain.
    WaitersAreNotLetGo,

    // Leases.
    /// A lease forgets the run that gave it up, so a third run can begin.
    ThirdRunsBegin,
    /// The release of a lease doesn't tell that the run has failed.
    FailuresAreNotTold,
    /// The end of a lease isn't published to its waiters.
    NobodyIsWoken,
    /// A refresh doesn't take the lease from whoever holds it.
    RefreshesWaitForTheLease,
    /// A run that has lost its lease leaves its result in memory.
    LostLeasesLeaveTheirResults,
    /// Leases aren't renewed.
    LeasesAreNotRenewed,
    /// A waiter relies on the message, without a deadline.
    WaitersOnlyHear,
}
