#include "gateway/journal/epoch_log.h"

#include <gtest/gtest.h>

#include "gateway/journal/final_reader.h"
#include "tests/unit/gateway/journal/log_maker.h"

namespace tidegate::gateway {
namespace {

using test::kFolder;
using test::make_log;
using test::MemoryDisk;
using test::record;
using test::Replay;
using test::request;

std::string segment(std::uint64_t index) { return std::string(kFolder) + "/" + segment_file_name(index); }

TEST(EpochLog, FinalsAreNumberedFromOneWithoutGaps) {
  MemoryDisk disk;
  EpochLog log = make_log(disk);
  EXPECT_EQ(log.append(record(RecordType::kAdmit, 1)), 0u);
  EXPECT_EQ(log.append(record(RecordType::kFinal, 1)), 1u);
  EXPECT_EQ(log.append(record(RecordType::kProgress, 2)), 0u);
  EXPECT_EQ(log.append(record(RecordType::kFinal, 2)), 2u);
  ASSERT_TRUE(log.write());
  EXPECT_EQ(log.append(record(RecordType::kFinal, 3)), 3u);
  ASSERT_TRUE(log.write());
  EXPECT_EQ(log.last_sequence(), 3u);
}

TEST(EpochLog, ReopeningGivesBackEveryRecordAndGoesOnCounting) {
  MemoryDisk disk;
  {
    EpochLog log = make_log(disk, 200);
    for (std::uint64_t n = 1; n <= 20; ++n) {
      log.append(record(RecordType::kAdmit, n));
      log.append(record(RecordType::kFinal, n));
      ASSERT_TRUE(log.write());
      ASSERT_TRUE(log.sync());
    }
    EXPECT_GT(log.segment_count(), 5u);
  }
  Replay replay;
  auto log = EpochLog::open(disk, kFolder, 200, replay.visitor());
  ASSERT_TRUE(log) << log.error().to_string();
  EXPECT_EQ(log->identity().gateway_id, "gw-1");
  EXPECT_EQ(log->identity().boot, request(99).uuid);
  EXPECT_EQ(replay.finals.size(), 20u);
  EXPECT_EQ(replay.finals[20], request(20));
  EXPECT_EQ(log->append(record(RecordType::kFinal, 21)), 21u);
  ASSERT_TRUE(log->write());
}

TEST(EpochLog, ShortWritesAreContinued) {
  MemoryDisk disk;
  disk.set_write_max(3);
  EpochLog log = make_log(disk);
  log.append(record(RecordType::kFinal, 1, std::string(500, 'x')));
  ASSERT_TRUE(log.write());
  Replay replay;
  ASSERT_TRUE(EpochLog::open(disk, kFolder, 1000, replay.visitor()));
  EXPECT_EQ(replay.finals.size(), 1u);
}

TEST(EpochLog, AFailedSyncKillsTheLogForGood) {
  MemoryDisk disk;
  EpochLog log = make_log(disk);
  log.append(record(RecordType::kFinal, 1));
  ASSERT_TRUE(log.write());
  disk.fail_next_sync();
  EXPECT_EQ(log.sync().error().reason, "journal_failed");
  EXPECT_FALSE(log.sync()) << "a second fsync that succeeds proves nothing";
  log.append(record(RecordType::kFinal, 2));
  EXPECT_FALSE(log.write());
}

TEST(EpochLog, FlippedSyncedByteIsCorruptionNeverATornTail) {
  MemoryDisk disk;
  {
    EpochLog log = make_log(disk);
    for (std::uint64_t n = 1; n <= 3; ++n) {
      log.append(record(RecordType::kFinal, n));
      ASSERT_TRUE(log.write());
      ASSERT_TRUE(log.sync());
    }
  }
  const std::string good = disk.content(segment(1));
  const std::size_t last_record = good.size() - kRecordHeaderBytes - 1;
  for (std::size_t at = 0; at < last_record; ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    disk.overwrite(segment(1), bad);
    const auto log = EpochLog::open(disk, kFolder, 1000, Replay().visitor());
    ASSERT_FALSE(log) << "byte " << at;
    EXPECT_EQ(log.error().reason, "journal_corrupt");
    EXPECT_EQ(disk.content(segment(1)), bad) << "evidence must stay as found";
  }
}

TEST(EpochLog, AHoleInUnsyncedDataIsATornTail) {
  MemoryDisk disk;
  {
    EpochLog log = make_log(disk);
    log.append(record(RecordType::kFinal, 1));
    ASSERT_TRUE(log.write());
    ASSERT_TRUE(log.sync());
    log.append(record(RecordType::kFinal, 2));
    log.append(record(RecordType::kFinal, 3));
    ASSERT_TRUE(log.write());
  }
  std::string torn = disk.content(segment(1));
  torn[disk.synced_bytes(segment(1)) + 5] ^= 1;  // the disk wrote record 3 but not all of record 2
  disk.overwrite(segment(1), torn);
  Replay replay;
  ASSERT_TRUE(EpochLog::open(disk, kFolder, 1000, replay.visitor()));
  EXPECT_EQ(replay.finals.size(), 1u);
}

TEST(EpochLog, DamageInAFinishedSegmentIsCorruption) {
  MemoryDisk disk;
  {
    EpochLog log = make_log(disk, 100);
    for (std::uint64_t n = 1; n <= 4; ++n) {
      log.append(record(RecordType::kFinal, n));
      ASSERT_TRUE(log.write());
    }
  }
  std::string bad = disk.content(segment(1));
  bad.pop_back();
  disk.overwrite(segment(1), bad);
  EXPECT_EQ(EpochLog::open(disk, kFolder, 100, Replay().visitor()).error().reason, "journal_corrupt");
}

TEST(EpochLog, AnEmptiedSegmentInTheMiddleIsCorruptionAndStaysWhereItIs) {
  MemoryDisk disk;
  {
    EpochLog log = make_log(disk, 100);
    for (std::uint64_t n = 1; n <= 4; ++n) {
      log.append(record(RecordType::kAdmit, n));
      ASSERT_TRUE(log.write());
    }
    ASSERT_GE(log.segment_count(), 4u);
    ASSERT_TRUE(log.sync());
  }
  disk.overwrite(segment(2), "");
  Replay replay;
  const auto log = EpochLog::open(disk, kFolder, 100, replay.visitor());
  ASSERT_FALSE(log) << "its ADMIT would be forgotten";
  EXPECT_EQ(log.error().reason, "journal_corrupt");
  EXPECT_TRUE(log.error().message.starts_with(segment(2))) << log.error().message;
  EXPECT_TRUE(disk.exists(segment(2)));
}

TEST(EpochLog, AMissingSegmentIsCorruption) {
  MemoryDisk disk;
  {
    EpochLog log = make_log(disk, 100);
    for (std::uint64_t n = 1; n <= 6; ++n) {
      log.append(record(RecordType::kFinal, n));
      ASSERT_TRUE(log.write());
    }
  }
  ASSERT_TRUE(disk.remove_file(segment(2)));
  EXPECT_EQ(EpochLog::open(disk, kFolder, 100, Replay().visitor()).error().reason, "journal_corrupt");
}

TEST(EpochLog, SegmentsGoOnlyWhenAcknowledgedAndWithoutOpenAdmits) {
  MemoryDisk disk;
  EpochLog log = make_log(disk, 100);
  log.append(record(RecordType::kAdmit, 100));  // stays open
  ASSERT_TRUE(log.write());
  for (std::uint64_t n = 1; n <= 6; ++n) {
    log.append(record(RecordType::kFinal, n));
    ASSERT_TRUE(log.write());
  }
  ASSERT_TRUE(log.free_through(6));
  EXPECT_EQ(log.first_segment(), 1u) << "an unfinished request still needs its ADMIT";
  log.append(record(RecordType::kFinal, 100));
  ASSERT_TRUE(log.write());
  ASSERT_TRUE(log.free_through(2));
  EXPECT_FALSE(disk.exists(segment(1)));
  EXPECT_TRUE(disk.exists(segment(log.first_segment())));
  ASSERT_TRUE(log.free_through(7));
  EXPECT_EQ(log.segment_count(), 1u);
  Replay replay;
  const auto again = EpochLog::open(disk, kFolder, 100, replay.visitor());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->last_sequence(), 7u) << "the header remembers the count when every FINAL is gone";
}

TEST(FinalReader, ReadsInBatchesAcrossSegmentsAndNeverBeyondTheEnd) {
  MemoryDisk disk;
  EpochLog log = make_log(disk, 150);
  for (std::uint64_t n = 1; n <= 25; ++n) {
    log.append(record(RecordType::kAdmit, n));
    log.append(record(RecordType::kFinal, n, "final " + std::to_string(n)));
    ASSERT_TRUE(log.write());
  }
  ASSERT_TRUE(log.sync());
  const auto end = log.synced();
  log.append(record(RecordType::kFinal, 26));
  ASSERT_TRUE(log.write());

  FinalReader reader(disk, kFolder);
  std::uint64_t after = 0;
  while (after < 25) {
    const auto batch = reader.read_after(after, log.first_segment(), end, 4);
    ASSERT_TRUE(batch) << batch.error().to_string();
    ASSERT_FALSE(batch->empty());
    for (const auto& final : *batch) {
      EXPECT_EQ(final.sequence, after + 1);
      EXPECT_EQ(final.payload, "final " + std::to_string(final.sequence));
      after = final.sequence;
    }
  }
  EXPECT_TRUE(reader.read_after(25, log.first_segment(), end, 4)->empty());
}

TEST(FinalReader, ReadsTheSameAgainAfterALostAcknowledgement) {
  MemoryDisk disk;
  EpochLog log = make_log(disk);
  for (std::uint64_t n = 1; n <= 5; ++n) log.append(record(RecordType::kFinal, n));
  ASSERT_TRUE(log.write());
  ASSERT_TRUE(log.sync());
  FinalReader reader(disk, kFolder);
  ASSERT_EQ(reader.read_after(0, 1, log.synced(), 3)->size(), 3u);
  const auto again = reader.read_after(0, 1, log.synced(), 3);
  ASSERT_EQ(again->size(), 3u);
  EXPECT_EQ(again->front().sequence, 1u);
}

}  // namespace
}  // namespace tidegate::gateway
