#include "base/core/log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/log_capture.h"
#include "tests/support/sim_clock.h"

namespace tidegate {
namespace {

std::string render(LogFields fields) { return render_log_line(Wall{}, "gw", LogLevel::kInfo, "done", fields); }

TEST(LogLine, IsOneJsonObject) {
  EXPECT_EQ(render({kv("id", "abc"), kv("n", 42), kv("share", 0.5), kv("ok", true)}),
            R"({"ts":"1970-01-01T00:00:00.000000Z","level":"info","service":"gw","event":"done",)"
            R"("id":"abc","n":42,"share":0.500000,"ok":true})");
}

TEST(LogLine, ForeignTextCannotBreakOutOfItsField) {
  const std::string line = render({kv("name", "a\"b\\c\nd\x01\x7f\xff")});
  EXPECT_NE(line.find("\"name\":\"a\\\"b\\\\c\\nd\\u0001\\u007f\\u00ff\"}"), std::string::npos) << line;
  EXPECT_EQ(line.find('\n'), std::string::npos);
}

TEST(JsonLog, DropsWhatIsBelowItsLevelAndEndsLines) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const test::SimClock clock;
  {
    JsonLog log(clock, "gw", LogLevel::kWarn, ends[1]);
    log.info("quiet");
    log.warn("loud", {kv("n", 1)});
  }
  ::close(ends[1]);
  char text[512];
  const auto size = ::read(ends[0], text, sizeof text);
  ::close(ends[0]);
  ASSERT_GT(size, 0);
  EXPECT_EQ(std::string(text, static_cast<std::size_t>(size)),
            R"({"ts":"2026-11-21T08:00:00.000000Z","level":"warn","service":"gw","event":"loud","n":1})"
            "\n");
}

TEST(LogCapture, FindsEventsAndText) {
  test::LogCapture log;
  log.info("started", {kv("port", 80)});
  log.error("broken");
  EXPECT_TRUE(log.has("broken"));
  EXPECT_EQ(log.count("started"), 1U);
  EXPECT_TRUE(log.mentions("\"port\":80"));
  EXPECT_FALSE(log.mentions("secret"));
}

}  // namespace
}  // namespace tidegate
