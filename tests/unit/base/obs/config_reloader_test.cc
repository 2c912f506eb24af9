#include "base/obs/config_reloader.h"

#include <gtest/gtest.h>

#include <fstream>
#include <optional>
#include <vector>

#include "tests/support/log_capture.h"
#include "tests/support/sim_clock.h"
#include "tests/support/temp_dir.h"

namespace tidegate {
namespace {

struct Options {
  std::string listen = ":1";
  std::string secret;
  std::string log_level = "info";
};

ConfigTable options_table(Options& options) {
  ConfigTable table("tidegate-test");
  table.text("listen", options.listen, "Where to listen.");
  table.secret_file("secret_file", options.secret, "The secret.");
  table.choice("log.level", options.log_level, {"debug", "info", "warn", "error"}, "Least level.");
  table.reloadable();
  return table;
}

class LevelLog final : public Log {
 public:
  void write(LogLevel level, std::string_view event, LogFields fields) override { lines.write(level, event, fields); }
  void set_least(LogLevel level) override { least = level; }
  test::LogCapture lines;
  LogLevel least = LogLevel::kInfo;
};

class ConfigReloaderTest : public testing::Test {
 protected:
  ConfigReloaderTest() {
    write("secret", "hunter2\n");
    write_config("");
    EXPECT_TRUE(options_table(running_).parse(2, std::vector<const char*>{"x", argument_.c_str()}.data()));
    reloader_.emplace("test", reload_of_log_level<Options>(running_, options_table, {"x", argument_}, check(), log_), clock_,
                      log_, metrics_);
  }
  std::function<Status(const Options&)> check() {
    return [this](const Options&) -> Status {
      if (is_certificate_bad_) return fail(Code::kInvalidArgument, "bad_certificate", "it expired");
      return {};
    };
  }
  void write(const std::string& name, const std::string& text) { std::ofstream(folder_.file(name)) << text; }
  void write_config(const std::string& more) { write("conf", "secret_file = " + folder_.file("secret") + "\n" + more); }
  double reloads(const std::string& result) const {
    return metrics_.value("tidegate_test_config_reloads_total", {{"result", result}});
  }
  double loaded() const { return metrics_.value("tidegate_test_config_loaded_timestamp_seconds"); }

  test::TempDir folder_;
  std::string argument_ = "--config=" + folder_.file("conf");
  test::SimClock clock_;
  LevelLog log_;
  MemoryRegistry metrics_;
  Options running_;
  bool is_certificate_bad_ = false;
  std::optional<ConfigReloader> reloader_;
};

TEST_F(ConfigReloaderTest, AppliesWhatMayChangeAndTellsItsName) {
  const double first = loaded();
  clock_.advance(std::chrono::seconds(60));
  write_config("log.level = debug\n");
  const auto changed = reloader_->reload();
  ASSERT_TRUE(changed) << changed.error().to_string();
  EXPECT_EQ(*changed, std::vector<std::string>{"log.level"});
  EXPECT_EQ(log_.least, LogLevel::kDebug);
  EXPECT_EQ(reloads("applied"), 1);
  EXPECT_EQ(loaded(), first + 60);
  EXPECT_TRUE(log_.lines.mentions("log.level"));
  EXPECT_TRUE(reloader_->reload()->empty()) << "the second time nothing is new";
  EXPECT_EQ(reloads("unchanged"), 1);
}

TEST_F(ConfigReloaderTest, OneOptionThatMayNotChangeKeepsAllOthersAsTheyWere) {
  const double first = loaded();
  clock_.advance(std::chrono::seconds(60));
  write_config("log.level = debug\nlisten = :2\n");
  const auto changed = reloader_->reload();
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().reason, "not_reloadable");
  EXPECT_EQ(log_.least, LogLevel::kInfo);
  EXPECT_EQ(reloads("refused"), 1);
  EXPECT_EQ(loaded(), first) << "what is in force is still the old";
  EXPECT_TRUE(log_.lines.mentions("listen: cannot change"));
  write_config("log.level = debug\n");
  EXPECT_TRUE(reloader_->reload()) << "put back, the rest applies";
}

TEST_F(ConfigReloaderTest, AChangedSecretIsNoticedBehindTheSamePathAndNeverPrinted) {
  write("secret", "correct horse\n");
  EXPECT_FALSE(reloader_->reload());
  EXPECT_TRUE(log_.lines.mentions("secret_file: cannot change"));
  EXPECT_FALSE(log_.lines.mentions("correct horse"));
  EXPECT_FALSE(log_.lines.mentions("hunter2"));
}

TEST_F(ConfigReloaderTest, ABrokenFileOrCertificateChangesNothing) {
  write_config("log.level = loud\n");
  EXPECT_EQ(reloader_->reload().error().reason, "bad_config");
  write_config("log.level = debug\n");
  is_certificate_bad_ = true;
  EXPECT_EQ(reloader_->reload().error().reason, "bad_certificate");
  EXPECT_EQ(log_.least, LogLevel::kInfo);
  EXPECT_EQ(reloads("refused"), 2);
}

}  // namespace
}  // namespace tidegate
