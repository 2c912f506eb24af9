#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/random.h"

namespace tidegate::fuzz {

/// The entries of a libFuzzer dictionary: lines of "...", with \\, \" and \xAB. Comments and blank lines are skipped.
std::vector<std::string> read_dictionary(std::string_view text);

/// Small changes to known inputs, the same for the same seed: a stand-in for libFuzzer, without coverage.
class Mutator {
 public:
  /// At least one seed. Outputs have at most `size_max` bytes.
  Mutator(std::vector<std::string> seeds, std::vector<std::string> words, std::size_t size_max, std::uint64_t seed);
  /// One to eight changes to one of the seeds.
  std::string next();

 private:
  void change(std::string& input);

  const std::vector<std::string> seeds_;
  const std::vector<std::string> words_;
  const std::size_t size_max_;
  Rng rng_;
};

}  // namespace tidegate::fuzz
