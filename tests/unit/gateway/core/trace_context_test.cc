#include "gateway/core/trace_context.h"

#include <gtest/gtest.h>

#include <string>

namespace tidegate::gateway {
namespace {

constexpr const char* kTrace = "0af7651916cd43dd8448eb211c80319c";
const RequestId kRequest{Uuid::parse("0198f000-1234-7abc-9def-0123456789ab").value()};

std::string sent(const std::string& version, const std::string& flags, const std::string& more = "") {
  return version + "-" + kTrace + "-b7ad6b7169203331-" + flags + more;
}

TEST(TraceContext, ARequestJoinsItsCallersTraceWithASpanOfItsOwn) {
  const TraceContext trace = join_trace(sent("00", "01"), kRequest);
  EXPECT_EQ(trace.trace_id, kTrace);
  EXPECT_EQ(trace.traceparent, std::string("00-") + kTrace + "-9def0123456789ab-01");
  EXPECT_EQ(join_trace(sent("00", "00"), kRequest).traceparent.substr(52), "-00") << "not recorded stays not recorded";
  EXPECT_EQ(join_trace(sent("00", "fb"), kRequest).traceparent.substr(52), "-01") << "other flags are not ours to pass";
}

TEST(TraceContext, LaterVersionsAreReadAsFarAsTheyAreKnown) {
  EXPECT_EQ(join_trace(sent("01", "01"), kRequest).trace_id, kTrace);
  EXPECT_EQ(join_trace(sent("cc", "01", "-what-comes"), kRequest).trace_id, kTrace);
}

TEST(TraceContext, WhatIsNoTraceparentStartsATraceNamedByTheRequest) {
  const std::string zeros(32, '0');
  const std::string cases[] = {
      "",
      "nonsense",
      sent("00", "01", "-more"),
      sent("cc", "01", "more"),
      sent("ff", "01"),
      sent("0g", "01"),
      sent("00", "0"),
      sent("00", "0G"),
      "00-" + zeros + "-b7ad6b7169203331-01",
      std::string("00-") + kTrace + "-0000000000000000-01",
      std::string("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"),
      std::string("00_") + kTrace + "_b7ad6b7169203331_01",
  };
  for (const std::string& one : cases) {
    const TraceContext trace = join_trace(one, kRequest);
    EXPECT_EQ(trace.trace_id, "0198f00012347abc9def0123456789ab") << one;
    EXPECT_EQ(trace.traceparent, "00-0198f00012347abc9def0123456789ab-9def0123456789ab-00") << one;
  }
}

}  // namespace
}  // namespace tidegate::gateway
