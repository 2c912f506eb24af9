// A seeded life of a journal, ended at every byte and at every operation. What was promised before the end must be
// there after it, once.
#include <gtest/gtest.h>

#include <set>

#include "tests/unit/gateway/journal/log_maker.h"

namespace tidegate::gateway {
namespace {

using test::kFolder;
using test::MemoryDisk;
using test::record;
using test::Replay;
using test::request;

constexpr std::uint64_t kSegmentBytes = 400;

struct Promised {
  std::set<RequestId> finals;  ///< synced, so a caller was told
  std::set<RequestId> admits;
};

/// One random life: admits, progress, finals, syncs, acknowledgements. Ends at the first failed operation.
Promised live(Disk& disk, std::uint64_t seed, std::uint64_t& acknowledged) {
  Rng rng(seed);
  Promised promised;
  Promised written;
  auto log = EpochLog::create(disk, kFolder, {.gateway_id = "gw", .epoch = 1, .boot = {}}, kSegmentBytes);
  if (!log) return promised;
  std::vector<std::uint64_t> open;
  std::uint64_t next = 1;
  std::uint64_t synced_sequence = 0;
  for (int step = 0; step < 60; ++step) {
    const std::uint64_t dice = rng.below(10);
    if (dice < 4 || open.empty()) {
      log->append(record(RecordType::kAdmit, next, std::string(rng.below(40), 'a')));
      written.admits.insert(request(next));
      open.push_back(next++);
    } else if (dice < 6) {
      log->append(record(RecordType::kProgress, open[rng.below(open.size())], std::string(rng.below(40), 'p')));
    } else if (dice < 9) {
      const std::size_t which = rng.below(open.size());
      log->append(record(RecordType::kFinal, open[which], std::string(rng.below(40), 'f')));
      written.finals.insert(request(open[which]));
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
    } else if (synced_sequence > acknowledged) {
      acknowledged += rng.below(synced_sequence - acknowledged) + 1;
      if (!log->free_through(acknowledged)) return promised;
    }
    if (rng.below(2) == 0 && !log->write()) return promised;
    if (rng.below(3) == 0) {
      if (!log->write() || !log->sync()) return promised;
      promised = written;
      synced_sequence = log->last_sequence();
    }
  }
  return promised;
}

void expect_kept(MemoryDisk& disk, const Promised& promised, std::uint64_t acknowledged, const std::string& where) {
  Replay replay;
  const auto log = EpochLog::open(disk, kFolder, kSegmentBytes, replay.visitor());
  if (!log) {
    ASSERT_EQ(log.error().reason, "journal_empty") << where << ": " << log.error().to_string();
    ASSERT_TRUE(promised.admits.empty()) << where;
    return;
  }
  for (const auto& [id, count] : replay.final_count) ASSERT_EQ(count, 1) << where << " " << id.to_string();
  std::uint64_t expected = replay.finals.empty() ? 0 : replay.finals.begin()->first;
  ASSERT_LE(expected, acknowledged + 1) << where << ": a FINAL went before billing had it";
  for (const auto& [sequence, id] : replay.finals) ASSERT_EQ(sequence, expected++) << where;
  std::size_t kept = 0;
  for (const RequestId& id : promised.finals) kept += replay.final_count.contains(id) ? 1 : 0;
  // What is missing was acknowledged: deleted segments hold only a prefix of the sequence.
  ASSERT_LE(promised.finals.size() - kept, acknowledged) << where;
  for (const auto& [id, count] : replay.admits) {
    if (promised.finals.contains(id)) {
      ASSERT_TRUE(replay.final_count.contains(id)) << where << ": an ADMIT outlived its FINAL and would be billed twice";
    }
  }
  for (const RequestId& id : promised.admits) {
    const bool gone = !replay.admits.contains(id);
    const bool finished = promised.finals.contains(id) || replay.final_count.contains(id);
    ASSERT_TRUE(!gone || finished) << where << ": an open request was forgotten";
  }
}

class EpochLogCrash : public testing::TestWithParam<std::uint64_t> {};

TEST_P(EpochLogCrash, KilledAtEveryOperationKeepsWhatWasPromised) {
  for (std::size_t operations = 0; operations < 400; ++operations) {
    MemoryDisk disk;
    disk.fail_after_operations(operations);
    std::uint64_t acknowledged = 0;
    const Promised promised = live(disk, GetParam(), acknowledged);
    disk.kill();
    expect_kept(disk, promised, acknowledged, "operation " + std::to_string(operations));
    if (HasFatalFailure()) return;
  }
}

TEST_P(EpochLogCrash, PowerCutAtEveryOperationKeepsWhatWasPromised) {
  Rng rng(GetParam() * 31);
  for (std::size_t operations = 0; operations < 400; ++operations) {
    MemoryDisk disk;
    disk.fail_after_operations(operations);
    std::uint64_t acknowledged = 0;
    const Promised promised = live(disk, GetParam(), acknowledged);
    disk.cut_power(rng);
    expect_kept(disk, promised, acknowledged, "operation " + std::to_string(operations));
    if (HasFatalFailure()) return;
  }
}

TEST_P(EpochLogCrash, TornAtEveryByteKeepsWhatWasPromised) {
  for (std::size_t bytes = 0; bytes < 4500; bytes += 1 + GetParam() % 3) {
    MemoryDisk disk;
    disk.fail_after_bytes(bytes);
    std::uint64_t acknowledged = 0;
    const Promised promised = live(disk, GetParam(), acknowledged);
    disk.kill();
    expect_kept(disk, promised, acknowledged, "byte " + std::to_string(bytes));
    if (HasFatalFailure()) return;
  }
}

// Seed 2 once freed a segment whose only FINAL was not synced yet.
INSTANTIATE_TEST_SUITE_P(Seeds, EpochLogCrash, testing::Range<std::uint64_t>(1, 6));

}  // namespace
}  // namespace tidegate::gateway
