#include "worker/meter/meter_record.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/core/encoding.h"
#include "tests/unit/worker/meter/entries.h"

namespace tidegate::worker {
namespace {

const MeterRecord kRecord{entry_of(1), wall_from_unix_micros(1'790'000'000'123'456)};

TEST(MeterRecord, ComesBackAsItWasWritten) {
  const auto back = decode_record(encode_record(kRecord));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->entry.request, kRecord.entry.request);
  EXPECT_EQ(back->entry.finish, FinishReason::kLength);
  EXPECT_EQ(back->entry.usage.prompt_tokens, 101);
  EXPECT_EQ(back->entry.usage.cached_tokens, 7);
  EXPECT_EQ(back->entry.usage.completion_tokens, 21);
  EXPECT_EQ(back->entry.usage.reasoning_tokens, 3);
  EXPECT_EQ(back->entry.usage.drafted_tokens, 9);
  EXPECT_EQ(back->entry.usage.accepted_tokens, 8);
  EXPECT_EQ(back->entry.usage.device_us, 5'000'000'000);
  EXPECT_EQ(back->finished, kRecord.finished);
}

TEST(MeterRecord, EveryFlippedBitIsNoticed) {
  const std::string good = encode_record(kRecord);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(decode_record(bad)) << bit;
  }
}

/// As the first version wrote it.
std::string first_version(const MeterRecord& record) {
  std::string bytes = encode_record(record).substr(0, kMeterRecordBytesV1);
  bytes[5] = 1;
  const std::uint32_t crc = crc32c(std::string_view(bytes).substr(sizeof(std::uint32_t)));
  std::memcpy(bytes.data(), &crc, sizeof crc);
  return bytes;
}

TEST(MeterRecord, WhatAnEarlierVersionWroteIsStillRead) {
  const auto records = decode_records(first_version(kRecord) + first_version({entry_of(2), kRecord.finished}));
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].entry.usage.reasoning_tokens, 3);
  EXPECT_EQ(records[0].entry.usage.device_us, 0);
  EXPECT_EQ(records[1].entry.usage.prompt_tokens, 102);
}

TEST(MeterRecord, ATornTailIsLeftOut) {
  const std::string two = encode_record(kRecord) + encode_record({entry_of(2), kRecord.finished});
  for (std::size_t size = 0; size <= two.size(); ++size) {
    EXPECT_EQ(decode_records(two.substr(0, size)).size(), size / kMeterRecordBytes) << size;
  }
}

}  // namespace
}  // namespace tidegate::worker
