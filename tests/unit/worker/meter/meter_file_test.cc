#include "worker/meter/meter_file.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "tests/support/log_capture.h"
#include "tests/support/sim_clock.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/worker/meter/entries.h"

namespace tidegate::worker {
namespace {

using namespace std::chrono_literals;

constexpr const char* kWorker = "0198f000-0000-7000-8000-00000000000a";

class MeterFileTest : public ::testing::Test {
 protected:
  std::unique_ptr<MeterFile> create(const std::string& worker = kWorker) {
    auto file = MeterFile::create(folder.path() / "meter", worker, clock, log, failures);
    EXPECT_TRUE(file);
    return *std::move(file);
  }
  test::TempDir folder;
  test::SimClock clock;
  test::LogCapture log;
  MemoryRegistry registry;
  Counter& failures = registry.counter("failures_total", "");
};

TEST_F(MeterFileTest, RecordsAreThereAsSoonAsTheyAreWritten) {
  const auto file = create();
  file->record(entry_of(1));
  clock.advance(1s);
  file->record(entry_of(2));
  const auto records = read_records(file->path(), 0, 10);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].entry.request, entry_of(1).request);
  EXPECT_EQ(records[1].finished - records[0].finished, 1s);
  EXPECT_EQ(file->covered_until(), clock.wall());
}

TEST_F(MeterFileTest, AnyRangeCanBeRead) {
  const auto file = create();
  for (std::uint8_t i = 0; i < 10; ++i) file->record(entry_of(i));
  EXPECT_EQ(read_records(file->path(), 3, 4).size(), 4u);
  EXPECT_EQ(read_records(file->path(), 3, 4)[0].entry.request, entry_of(3).request);
  EXPECT_EQ(read_records(file->path(), 8, 100).size(), 2u);
  EXPECT_TRUE(read_records(file->path(), 10, 5).empty());
  EXPECT_TRUE(read_records(folder.file("nothing"), 0, 5).empty());
}

TEST_F(MeterFileTest, LivesAreTheFilesNamedByAWorker) {
  const auto file = create();
  const auto other = create("0198f000-0000-7000-8000-000000000001");
  std::ofstream(folder.path() / "meter" / "notes.meter") << "x";
  std::ofstream(folder.path() / "meter" / "0198f000-0000-7000-8000-00000000000b") << "x";
  const auto lives = meter_lives(folder.path() / "meter");
  ASSERT_EQ(lives.size(), 2u);
  EXPECT_EQ(lives[0].path, other->path());
  EXPECT_EQ(lives[1].worker_id, kWorker);
  EXPECT_TRUE(meter_lives(folder.path() / "none").empty());
}

TEST_F(MeterFileTest, AFolderThatCannotBeMadeIsAnError) {
  std::ofstream(folder.file("meter")) << "a file where the folder should be";
  const auto file = MeterFile::create(folder.path() / "meter", kWorker, clock, log, failures);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().reason, "meter_unwritable");
  EXPECT_EQ(file.error().field, "meter.dir");
}

/// Files may not grow beyond `bytes` while this lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  sighandler_t handler_ = nullptr;
};

TEST_F(MeterFileTest, AfterAFailedWriteNothingIsRecordedAndTheMarkStandsStill) {
  const auto file = create();
  file->record(entry_of(1));
  clock.advance(1s);
  const Wall broke_at = clock.wall();
  {
    const FileSizeLimit full(kMeterRecordBytes + 5);  // a part of the next one fits
    file->record(entry_of(2));
  }
  clock.advance(1s);
  file->record(entry_of(3));
  EXPECT_EQ(read_records(file->path(), 0, 10).size(), 1u);
  EXPECT_EQ(file->covered_until(), broke_at);
  EXPECT_EQ(registry.value("failures_total"), 1);
  EXPECT_TRUE(log.has("meter_failed"));
}

}  // namespace
}  // namespace tidegate::worker
