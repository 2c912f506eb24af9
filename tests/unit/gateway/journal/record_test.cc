#include "gateway/journal/record.h"

#include <gtest/gtest.h>

#include "tests/support/sequential_ids.h"

namespace tidegate::gateway {
namespace {

Record sample() {
  return {.type = RecordType::kFinal,
          .sequence = 7,
          .request = RequestId{tidegate::test::SequentialIds::make(3)},
          .payload = "usage"};
}

TEST(Record, ReadsBackWhatWasWritten) {
  std::string bytes;
  append_record(bytes, sample(), 99);
  const auto view = read_record(bytes);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->type, RecordType::kFinal);
  EXPECT_EQ(view->sequence, 7u);
  EXPECT_EQ(view->request, sample().request);
  EXPECT_EQ(view->payload, "usage");
  EXPECT_EQ(view->synced_through, 99u);
  EXPECT_EQ(view->size, bytes.size());
}

TEST(Record, EveryFlippedBitIsNoticed) {
  std::string bytes;
  append_record(bytes, sample(), 99);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string bad = bytes;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(read_record(bad)) << "bit " << bit;
  }
}

TEST(Record, EveryShorterPieceIsNotARecord) {
  std::string bytes;
  append_record(bytes, sample(), 0);
  for (std::size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(read_record(bytes.substr(0, size)));
}

TEST(Record, ZeroesAreNotARecord) { EXPECT_FALSE(read_record(std::string(4096, '\0'))); }

TEST(Record, LayoutOnDiskIsFixed) {
  std::string bytes;
  append_record(bytes, {.type = RecordType::kAdmit, .sequence = 0, .request = {}, .payload = "ab"}, 1);
  EXPECT_EQ(bytes.size(), kRecordHeaderBytes + 2);
  EXPECT_EQ(bytes.substr(4, 9), std::string("\x02\0\0\0\x01\0\0\0\x02", 9));
}

}  // namespace
}  // namespace tidegate::gateway
