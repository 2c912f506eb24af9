// Every fuzz target in the normal build: its seeds, each cut short everywhere, and 20,000 changed ones. Keeps the
// targets from rotting; the search itself is tests/fuzz/run.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_targets.h"
#include "tests/fuzz/mutator.h"

extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace tidegate::fuzz {
namespace {

constexpr std::uint64_t kSeed = 20'261'122;
constexpr int kMutations = 20'000;
const std::string kFolder = std::string(TG_SOURCE_DIR) + "/tests/fuzz/";

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<std::string> seeds_of(const Target& target) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder + "seeds/" + std::string(target.name))) {
    paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  std::vector<std::string> seeds;
  for (const auto& path : paths) seeds.push_back(read_file(path));
  return seeds;
}

// What runs now, for whoever finds the program dead.
std::string running;  // NOLINT: read when the program is dying
std::string running_path;

void keep_input() {
  static bool is_kept = false;
  if (is_kept) return;
  is_kept = true;
  std::ofstream(running_path, std::ios::binary) << running;
  std::fprintf(stderr, "the input is kept in %s\n", running_path.c_str());
}

void on_abort(int) {
  keep_input();
  std::_Exit(1);
}

class FuzzTarget : public testing::TestWithParam<Target> {
 protected:
  void SetUp() override {
    running_path = std::string(TG_BINARY_DIR) + "/fuzz-" + std::string(GetParam().name) + ".input";
    std::signal(SIGABRT, on_abort);
    if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(keep_input);
  }
  void TearDown() override { std::signal(SIGABRT, SIG_DFL); }

  /// In memory of exactly its size, so that a byte too far is seen.
  void run(std::string input) {
    running = std::move(input);
    const std::vector<std::uint8_t> exact(running.begin(), running.end());
    EXPECT_EQ(GetParam().run(exact.data(), exact.size()), 0);
  }
};

TEST_P(FuzzTarget, EveryClaimHoldsForItsSeedsAndTheirBeginnings) {
  const auto seeds = seeds_of(GetParam());
  ASSERT_FALSE(seeds.empty());
  for (const std::string& seed : seeds) {
    ASSERT_LE(seed.size(), GetParam().size_max) << "longer than the search would read";
    for (std::size_t size = 0; size <= seed.size(); ++size) run(seed.substr(0, size));
  }
}

TEST_P(FuzzTarget, EveryClaimHoldsForTwentyThousandChangedSeeds) {
  std::vector<std::string> words;
  if (!GetParam().dictionary.empty()) {
    words = read_dictionary(read_file(kFolder + "dict/" + std::string(GetParam().dictionary) + ".dict"));
    ASSERT_FALSE(words.empty());
  }
  Mutator mutator(seeds_of(GetParam()), std::move(words), GetParam().size_max, kSeed);
  for (int i = 0; i < kMutations; ++i) run(mutator.next());
}

TEST(Mutator, TheSameSeedGivesTheSameInputsWithinTheirSize) {
  Mutator a({"some seed", "another"}, {"word"}, 12, 1), b({"some seed", "another"}, {"word"}, 12, 1);
  Mutator c({"some seed", "another"}, {"word"}, 12, 2);
  bool differs = false;
  for (int i = 0; i < 1'000; ++i) {
    const std::string input = a.next();
    EXPECT_EQ(input, b.next());
    EXPECT_LE(input.size(), 12U);
    differs = differs || input != c.next();
  }
  EXPECT_TRUE(differs);
}

TEST(Mutator, ADictionaryHasItsEscapes) {
  const std::vector<std::string> wanted = {"plain", "a\"b\\", std::string("\r\n\0", 3)};
  EXPECT_EQ(read_dictionary("# comment\n\n\"plain\"\nname=\"a\\\"b\\\\\"\n\"\\x0d\\x0a\\x00\"\n"), wanted);
}

INSTANTIATE_TEST_SUITE_P(Targets, FuzzTarget, testing::ValuesIn(targets().begin(), targets().end()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace tidegate::fuzz
