#include "base/core/config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "tests/support/temp_dir.h"

namespace tidegate {
namespace {

struct Options {
  std::string listen = "127.0.0.1:8080";
  std::string secret;
  std::int64_t threads = 2;
  bool verbose = false;
  std::chrono::milliseconds patience{500};
};

class ConfigTest : public testing::Test {
 protected:
  ConfigTest() {
    table_.text("listen", options_.listen, "Where to listen.");
    table_.secret_file("secret_file", options_.secret, "The shared secret.");
    table_.integer("threads", options_.threads, 1, 64, "Threads.");
    table_.flag("verbose", options_.verbose, "Say more.");
    table_.milliseconds("patience_ms", options_.patience, 1, 60'000, "How long to wait.");
  }
  Status parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "program");
    return table_.parse(static_cast<int>(arguments.size()), arguments.data());
  }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder_.file(name)) << text;
    return folder_.file(name);
  }

  test::TempDir folder_;
  Options options_;
  ConfigTable table_{"tidegate-test"};
};

TEST_F(ConfigTest, DefaultsThenFileThenCommandLine) {
  const std::string file = "--config=" + write("a.conf", "threads = 4   # four\n\n# a comment\nverbose=true\nlisten=:1\n");
  ASSERT_TRUE(parse({"--threads=8", file.c_str()})) << "the order of arguments does not matter";
  EXPECT_EQ(options_.threads, 8);
  EXPECT_TRUE(options_.verbose);
  EXPECT_EQ(options_.listen, ":1");
  EXPECT_EQ(options_.patience, std::chrono::milliseconds(500));
}

TEST_F(ConfigTest, AllProblemsAreReportedAtOnceWithTheirPlace) {
  const std::string file =
      "--config=" + write("a.conf", "threads = 65\nunknown = 1\nno equals\nverbose = yes\npatience_ms = 5s\n");
  const Status status = parse({file.c_str(), "--threads=x", "--nonsense", "-x=1"});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().reason, "bad_config");
  for (const char* part : {":1: threads: 65 is outside 1..64", ":2: unknown option 'unknown'", ":3: expected 'key = value'",
                           ":4: verbose: 'yes' is neither true nor false", ":5: patience_ms: '5s' is not an integer",
                           "command line: threads: 'x' is not an integer", "'--nonsense' is not of the form",
                           "'-x=1' is not of the form"}) {
    EXPECT_NE(status.error().message.find(part), std::string::npos) << part << "\n" << status.error().message;
  }
}

TEST_F(ConfigTest, SecretsComeFromFilesAndNeverShow) {
  const std::string argument = "--secret_file=" + write("key", "hunter2\n");
  ASSERT_TRUE(parse({argument.c_str()}));
  EXPECT_EQ(options_.secret, "hunter2");
  EXPECT_EQ(table_.reference().find("hunter2"), std::string::npos);
  EXPECT_EQ(table_.help().find("hunter2"), std::string::npos);
}

TEST_F(ConfigTest, ValuesAreThoseInForceWithoutSecrets) {
  const std::string argument = "--secret_file=" + write("key", "hunter2\n");
  ASSERT_TRUE(parse({argument.c_str(), "--threads=7"}));
  const std::string values = table_.values();
  EXPECT_NE(values.find("threads = 7\n"), std::string::npos) << values;
  EXPECT_NE(values.find("patience_ms = 500\n"), std::string::npos) << values;
  EXPECT_NE(values.find("secret_file = (set)\n"), std::string::npos) << values;
  EXPECT_EQ(values.find("hunter2"), std::string::npos);
}

TEST_F(ConfigTest, EmptySecretsAndMissingFilesAreErrors) {
  const std::string empty = "--secret_file=" + write("empty", "\n");
  EXPECT_FALSE(parse({empty.c_str()}));
  EXPECT_FALSE(parse({"--secret_file=/nonexistent/key"}));
  EXPECT_FALSE(parse({"--config=/nonexistent/file"}));
}

TEST_F(ConfigTest, RequiredOptionsMustBeGiven) {
  std::string database;
  table_.text("database", database, "Where the data is.");
  table_.required();
  const Status status = parse({});
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("database: required (Where the data is.)"), std::string::npos);
  EXPECT_TRUE(parse({"--database=x"}));
}

TEST_F(ConfigTest, TheReferenceNamesEveryOptionWithItsDefault) {
  const std::string page = table_.reference();
  EXPECT_NE(page.find("| `threads` | integer 1..64 | `2` | Threads. |"), std::string::npos) << page;
  EXPECT_NE(page.find("| `patience_ms` | ms 1..60000 | `500` | How long to wait. |"), std::string::npos);
}

TEST_F(ConfigTest, AChoiceIsOneOfItsWords) {
  std::string level = "info";
  table_.choice("level", level, {"info", "warn"}, "How much to say.");
  EXPECT_TRUE(parse({"--level=warn"}));
  EXPECT_EQ(level, "warn");
  const Status status = parse({"--level=loud"});
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("level: 'loud' is not info or warn"), std::string::npos) << status.error().message;
  EXPECT_EQ(level, "warn");
}

class ConfigReload : public ConfigTest {
 protected:
  ConfigReload() {
    fill(old_, before_);
    fill(new_, after_);
  }
  static void fill(ConfigTable& table, Options& options) {
    table.text("listen", options.listen, "Where to listen.");
    table.secret_file("secret_file", options.secret, "The shared secret.");
    table.integer("threads", options.threads, 1, 64, "Threads.");
    table.reloadable();
    table.milliseconds("patience_ms", options.patience, 1, 60'000, "How long to wait.");
    table.reloadable();
  }
  Options before_, after_;
  ConfigTable old_{"tidegate-test"}, new_{"tidegate-test"};
};

TEST_F(ConfigReload, NamesWhatChanged) {
  EXPECT_TRUE(old_.changes_to(new_)->empty());
  after_.threads = 9;
  after_.patience = std::chrono::milliseconds(9);
  EXPECT_EQ(old_.changes_to(new_).value(), (std::vector<std::string>{"threads", "patience_ms"}));
}

TEST_F(ConfigReload, WhatMayNotChangeRefusesEverythingByName) {
  after_.threads = 9;
  after_.listen = ":1";
  after_.secret = "hunter2";
  const auto changes = old_.changes_to(new_);
  ASSERT_FALSE(changes);
  EXPECT_EQ(changes.error().reason, "not_reloadable");
  EXPECT_NE(changes.error().message.find("listen: cannot change"), std::string::npos);
  EXPECT_NE(changes.error().message.find("secret_file: cannot change"), std::string::npos) << "a secret of the same path";
  EXPECT_EQ(changes.error().message.find("threads"), std::string::npos);
  EXPECT_EQ(changes.error().message.find("hunter2"), std::string::npos);
}

TEST_F(ConfigReload, TheReferenceSaysWhatMayChange) {
  EXPECT_NE(new_.reference().find("Threads. Reloadable. |"), std::string::npos);
  EXPECT_EQ(new_.reference().find("Where to listen. Reloadable."), std::string::npos);
}

TEST_F(ConfigTest, SecretsThatOthersCanReadAreToldWithTheFix) {
  const std::string file = write("key", "hunter2\n");
  const std::string argument = "--secret_file=" + file;
  std::filesystem::permissions(file, std::filesystem::perms::owner_read | std::filesystem::perms::others_read);
  ASSERT_TRUE(parse({argument.c_str()}));
  ASSERT_EQ(table_.warnings().size(), 1U);
  EXPECT_NE(table_.warnings()[0].find("chmod 600 '" + file + "'"), std::string::npos) << table_.warnings()[0];
  EXPECT_EQ(table_.warnings()[0].find("hunter2"), std::string::npos);
  std::filesystem::permissions(file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_TRUE(table_.warnings().empty());
}

}  // namespace
}  // namespace tidegate
