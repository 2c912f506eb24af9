// The contract of Disk, on the fake and on the real one.
#include "gateway/journal/posix_disk.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/gateway/memory_disk.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/gateway/journal/log_maker.h"

namespace tidegate::gateway {
namespace {

constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();

template <typename D>
struct DiskContract : testing::Test {
  tidegate::test::TempDir temp;
  D disk;
  std::string at(const std::string& name) { return temp.file("root") + "/" + name; }
  void SetUp() override { ASSERT_TRUE(disk.make_folder(temp.file("root"))); }
};

using Disks = testing::Types<test::MemoryDisk, PosixDisk>;
TYPED_TEST_SUITE(DiskContract, Disks);

TYPED_TEST(DiskContract, WhatWasAppendedIsReadFromAnyOffset) {
  auto file = this->disk.create(this->at("a"));
  ASSERT_TRUE(file);
  EXPECT_EQ((*file)->write("hello "), 6u);
  EXPECT_EQ((*file)->write("world"), 5u);
  EXPECT_TRUE((*file)->sync());
  EXPECT_EQ(this->disk.read(this->at("a"), 0, kAll), "hello world");
  EXPECT_EQ(this->disk.read(this->at("a"), 6, 3), "wor");
  EXPECT_EQ(this->disk.read(this->at("a"), 99, 3), "");
}

TYPED_TEST(DiskContract, CreatingAnExistingFileFails) {
  ASSERT_TRUE(this->disk.create(this->at("a")));
  EXPECT_EQ(this->disk.create(this->at("a")).error().reason, "disk_error");
}

TYPED_TEST(DiskContract, ListIsSortedAndEmptyForAMissingFolder) {
  ASSERT_TRUE(this->disk.create(this->at("b")));
  ASSERT_TRUE(this->disk.create(this->at("a")));
  ASSERT_TRUE(this->disk.make_folder(this->at("c")));
  EXPECT_EQ(*this->disk.list(this->temp.file("root")), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(this->disk.list(this->at("none"))->empty());
}

TYPED_TEST(DiskContract, TruncateRenameAndRemove) {
  auto file = this->disk.create(this->at("a"));
  ASSERT_TRUE((*file)->write("hello"));
  ASSERT_TRUE(this->disk.truncate(this->at("a"), 2));
  ASSERT_TRUE(this->disk.rename(this->at("a"), this->at("b")));
  EXPECT_EQ(this->disk.read(this->at("b"), 0, kAll), "he");
  EXPECT_FALSE(this->disk.read(this->at("a"), 0, kAll));
  ASSERT_TRUE(this->disk.remove_file(this->at("b")));
  EXPECT_FALSE(this->disk.remove_file(this->at("b")));
  EXPECT_TRUE(this->disk.sync_folder(this->temp.file("root")));
}

TYPED_TEST(DiskContract, AFolderIsRenamedWithItsFilesAndRemovedOnceEmpty) {
  ASSERT_TRUE(this->disk.make_folder(this->at("one")));
  ASSERT_TRUE(this->disk.create(this->at("one/x")));
  ASSERT_TRUE(this->disk.rename(this->at("one"), this->at("two")));
  EXPECT_EQ(*this->disk.list(this->at("two")), std::vector<std::string>{"x"});
  EXPECT_FALSE(this->disk.remove_folder(this->at("two")));
  ASSERT_TRUE(this->disk.remove_file(this->at("two/x")));
  EXPECT_TRUE(this->disk.remove_folder(this->at("two")));
}

TYPED_TEST(DiskContract, OnlyOneHolderOfAFolder) {
  auto first = this->disk.lock(this->temp.file("root"));
  ASSERT_TRUE(first);
  EXPECT_EQ(this->disk.lock(this->temp.file("root")).error().reason, "journal_locked");
  first->reset();
  EXPECT_TRUE(this->disk.lock(this->temp.file("root")));
}

TYPED_TEST(DiskContract, AnEpochLivesOnIt) {
  const std::string folder = this->at("epoch-1");
  auto log = EpochLog::create(this->disk, folder, {.gateway_id = "gw", .epoch = 1, .boot = {}}, 100);
  ASSERT_TRUE(log);
  for (std::uint64_t n = 1; n <= 5; ++n) {
    log->append(test::record(RecordType::kFinal, n));
    ASSERT_TRUE(log->write());
  }
  ASSERT_TRUE(log->sync());
  test::Replay replay;
  ASSERT_TRUE(EpochLog::open(this->disk, folder, 100, replay.visitor()));
  EXPECT_EQ(replay.finals.size(), 5u);
}

}  // namespace
}  // namespace tidegate::gateway
