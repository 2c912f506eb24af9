#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "gateway/journal/epoch_log.h"
#include "tests/support/gateway/memory_disk.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::gateway::test {

inline constexpr const char* kFolder = "/journal/epoch-1";

inline RequestId request(std::uint64_t n) { return RequestId{tidegate::test::SequentialIds::make(n)}; }

inline Record record(RecordType type, std::uint64_t n, std::string payload = "p") {
  return {.type = type, .sequence = 0, .request = request(n), .payload = std::move(payload)};
}

inline EpochLog make_log(Disk& disk, std::uint64_t segment_bytes_max = 1 << 20) {
  auto log = EpochLog::create(disk, kFolder, {.gateway_id = "gw-1", .epoch = 1, .boot = request(99).uuid},
                              segment_bytes_max);
  EXPECT_TRUE(log) << log.error().to_string();
  return *std::move(log);
}

/// What a replay sees.
struct Replay {
  std::map<std::uint64_t, RequestId> finals;  ///< by sequence
  std::map<RequestId, int> final_count;
  std::map<RequestId, int> admits;
  std::map<RequestId, int> progress;

  RecordVisitor visitor() {
    return [this](const RecordView& view, std::uint64_t) {
      if (view.type == RecordType::kAdmit) ++admits[view.request];
      if (view.type == RecordType::kProgress) ++progress[view.request];
      if (view.type == RecordType::kFinal) {
        finals[view.sequence] = view.request;
        ++final_count[view.request];
      }
    };
  }
};

}  // namespace tidegate::gateway::test
