#include "gateway/journal/journal.h"

#include <gtest/gtest.h>

#include <latch>
#include <set>

#include "tests/support/eventually.h"
#include "tests/support/log_capture.h"
#include "tests/unit/gateway/journal/log_maker.h"

namespace tidegate::gateway {
namespace {

using test::kFolder;
using test::make_log;
using test::MemoryDisk;
using test::record;
using test::Replay;
using test::request;

struct JournalTest : testing::Test {
  std::unique_ptr<Journal> make(JournalLimits limits = {}) {
    return std::make_unique<Journal>(make_log(disk, limits.segment_bytes_max), limits, metrics, clock, lines);
  }
  /// Appends and waits.
  static Result<std::uint64_t> commit(Journal& journal, Record entry) {
    std::latch done(1);
    Result<std::uint64_t> answer;
    journal.append(std::move(entry), [&](Result<std::uint64_t> result) {
      answer = std::move(result);
      done.count_down();
    });
    done.wait();
    return answer;
  }

  MemoryDisk disk;
  MemoryRegistry registry;
  JournalMetrics metrics{registry};
  SystemClock clock;
  tidegate::test::LogCapture lines;
};

TEST_F(JournalTest, FinalIsOnDiskWhenItsCallerIsTold) {
  const auto journal = make();
  EXPECT_EQ(commit(*journal, record(RecordType::kFinal, 1)), 1u);
  const std::string path = std::string(kFolder) + "/" + segment_file_name(1);
  EXPECT_EQ(disk.synced_bytes(path), disk.content(path).size());
  EXPECT_EQ(journal->durable().last_sequence, 1u);
}

TEST_F(JournalTest, ConcurrentFinalsGetEachNumberOnceAndShareSyncs) {
  constexpr int kThreads = 4;
  constexpr int kEach = 200;
  const auto journal = make();
  std::mutex mutex;
  std::set<std::uint64_t> numbers;
  std::latch done(kThreads * kEach);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) {
          journal->append(record(RecordType::kFinal, static_cast<std::uint64_t>(t * kEach + i)),
                          [&](Result<std::uint64_t> sequence) {
                            {
                              const std::lock_guard lock(mutex);
                              numbers.insert(sequence.value());
                            }
                            done.count_down();
                          });
        }
      });
    }
  }
  done.wait();
  EXPECT_EQ(numbers.size(), static_cast<std::size_t>(kThreads * kEach));
  EXPECT_EQ(*numbers.rbegin(), static_cast<std::uint64_t>(kThreads * kEach));
  EXPECT_LT(registry.value("tidegate_gateway_journal_sync_seconds"), kThreads * kEach) << "no group commit happened";
}

TEST_F(JournalTest, ProgressIsSyncedByItselfWithinItsInterval) {
  const auto journal = make({.progress_sync = std::chrono::milliseconds(1)});
  journal->append_progress(record(RecordType::kProgress, 1));
  const std::string path = std::string(kFolder) + "/" + segment_file_name(1);
  EXPECT_TRUE(tidegate::test::eventually([&] {
    return disk.synced_bytes(path) == disk.content(path).size() &&
           registry.value("tidegate_gateway_journal_records_total") == 1;
  }));
}

TEST_F(JournalTest, ProgressAloneIsWrittenWithinItsInterval) {
  const auto journal = make({.progress_sync = std::chrono::hours(1), .progress_write = std::chrono::milliseconds(1)});
  ASSERT_TRUE(commit(*journal, record(RecordType::kAdmit, 1)));
  for (std::uint64_t n = 1; n <= 3; ++n) journal->append_progress(record(RecordType::kProgress, n));
  EXPECT_TRUE(tidegate::test::eventually([&] { return registry.value("tidegate_gateway_journal_records_total") == 4; }));
}

TEST_F(JournalTest, ProgressOfManyStreamsWakesNobodyAndLeavesWithTheNextFinal) {
  const auto journal = make({.progress_sync = std::chrono::hours(1), .progress_write = std::chrono::hours(1)});
  ASSERT_TRUE(commit(*journal, record(RecordType::kAdmit, 1)));
  for (std::uint64_t n = 1; n <= 50; ++n) journal->append_progress(record(RecordType::kProgress, n));
  ASSERT_TRUE(commit(*journal, record(RecordType::kFinal, 1)));
  EXPECT_EQ(registry.value("tidegate_gateway_journal_records_total"), 52);
  // The ADMIT, perhaps the first progress, which may find the writer asleep, and all the rest.
  EXPECT_LE(registry.value("tidegate_gateway_journal_batch_records"), 3);
  const std::string path = std::string(kFolder) + "/" + segment_file_name(1);
  EXPECT_EQ(disk.synced_bytes(path), disk.content(path).size());
}

TEST_F(JournalTest, FailedSyncRefusesEverythingAfterwards) {
  const auto journal = make();
  std::atomic<int> notices = 0;
  journal->on_change([&] { ++notices; });
  disk.fail_next_sync();
  EXPECT_EQ(commit(*journal, record(RecordType::kFinal, 1)).error().reason, "journal_failed");
  EXPECT_TRUE(journal->has_failed());
  EXPECT_EQ(commit(*journal, record(RecordType::kAdmit, 2)).error().reason, "journal_failed");
  EXPECT_EQ(commit(*journal, record(RecordType::kFinal, 2)).error().reason, "journal_failed");
  EXPECT_EQ(notices, 1);
  EXPECT_TRUE(lines.has("journal_failed"));
}

TEST_F(JournalTest, WhatIsDoneForAWholeCommitIsDoneOnDiskAndBeforeAnybodyHears) {
  const auto journal = make();
  const std::string path = std::string(kFolder) + "/" + segment_file_name(1);
  std::atomic<int> commits = 0;
  std::atomic<bool> was_on_disk = false;
  std::atomic<bool> was_hidden = false;
  journal->on_commit([&] {
    was_on_disk = disk.synced_bytes(path) == disk.content(path).size();
    was_hidden = journal->durable().last_sequence == 0;
    ++commits;
  });
  ASSERT_TRUE(commit(*journal, record(RecordType::kAdmit, 1)));
  EXPECT_EQ(commits, 0) << "nothing of it needs a signature";
  ASSERT_TRUE(commit(*journal, record(RecordType::kFinal, 1)));
  EXPECT_EQ(commits, 1);
  EXPECT_TRUE(was_on_disk);
  EXPECT_TRUE(was_hidden);
  disk.fail_next_sync();
  EXPECT_FALSE(commit(*journal, record(RecordType::kFinal, 2)));
  EXPECT_EQ(commits, 1) << "what is not on disk is not signed";
}

TEST_F(JournalTest, QuotaRefusesAdmissionsButNeverAFinal) {
  const auto journal = make({.quota_bytes = 300});
  while (commit(*journal, record(RecordType::kAdmit, 1, std::string(50, 'x')))) {
  }
  EXPECT_TRUE(journal->is_full());
  EXPECT_EQ(commit(*journal, record(RecordType::kAdmit, 2)).error().reason, "journal_full");
  EXPECT_TRUE(commit(*journal, record(RecordType::kFinal, 1)));
  EXPECT_FALSE(journal->has_failed());
}

TEST_F(JournalTest, AcknowledgedSegmentsMakeRoomAgain) {
  const auto journal = make({.segment_bytes_max = 200, .quota_bytes = 1500});
  std::uint64_t last = 0;
  for (std::uint64_t n = 1;; ++n) {
    if (!commit(*journal, record(RecordType::kAdmit, n))) break;
    last = *commit(*journal, record(RecordType::kFinal, n));
  }
  journal->acknowledge(last);
  EXPECT_TRUE(tidegate::test::eventually([&] { return !journal->is_full(); }));
  EXPECT_TRUE(commit(*journal, record(RecordType::kAdmit, 1000)));
}

TEST_F(JournalTest, StopWritesWhatWasQueued) {
  auto journal = make();
  std::atomic<int> told = 0;
  for (std::uint64_t n = 1; n <= 50; ++n) {
    journal->append(record(RecordType::kFinal, n), [&](Result<std::uint64_t> result) { told += result ? 1 : 0; });
  }
  journal->append_progress(record(RecordType::kProgress, 99));
  journal->stop();
  EXPECT_EQ(told, 50);
  EXPECT_EQ(commit(*journal, record(RecordType::kFinal, 51)).error().reason, "journal_failed");
  journal.reset();
  Rng rng(1);
  disk.cut_power(rng);
  Replay replay;
  ASSERT_TRUE(EpochLog::open(disk, kFolder, 1 << 20, replay.visitor()));
  EXPECT_EQ(replay.finals.size(), 50u);
  EXPECT_EQ(replay.progress.size(), 1u) << "stop must sync loose progress too";
}

}  // namespace
}  // namespace tidegate::gateway
