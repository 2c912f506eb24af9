#include "tests/fuzz/mutator.h"

#include <algorithm>
#include <utility>

#include "base/core/check.h"
#include "base/core/encoding.h"

namespace tidegate::fuzz {
namespace {

constexpr std::uint64_t kChangesMax = 8;
constexpr std::uint64_t kRunMax = 16;

}  // namespace

std::vector<std::string> read_dictionary(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const auto first = line.find('"'), last = line.rfind('"');
    if (line.starts_with('#') || first == std::string_view::npos || last == first) continue;
    const std::string_view quoted = line.substr(first + 1, last - first - 1);
    std::string word;
    for (std::size_t i = 0; i < quoted.size(); ++i) {
      if (quoted[i] != '\\' || i + 1 == quoted.size()) {
        word += quoted[i];
      } else if (quoted[i + 1] == 'x') {
        word += hex_decode(quoted.substr(i + 2, 2)).value_or("");
        i += 3;
      } else {
        word += quoted[++i];
      }
    }
    words.push_back(std::move(word));
  }
  return words;
}

Mutator::Mutator(std::vector<std::string> seeds, std::vector<std::string> words, std::size_t size_max,
                 std::uint64_t seed)
    : seeds_(std::move(seeds)), words_(std::move(words)), size_max_(size_max), rng_(seed) {
  TG_CHECK(!seeds_.empty());
}

std::string Mutator::next() {
  std::string input = seeds_[rng_.below(seeds_.size())];
  for (std::uint64_t changes = 1 + rng_.below(kChangesMax); changes > 0; --changes) change(input);
  if (input.size() > size_max_) input.resize(size_max_);
  return input;
}

void Mutator::change(std::string& input) {
  const std::size_t at = rng_.below(input.size() + 1);
  const std::size_t run = 1 + rng_.below(kRunMax);
  switch (rng_.below(7)) {
    case 0:  // a bit
      if (at < input.size()) input[at] = static_cast<char>(input[at] ^ 1 << rng_.below(8));
      break;
    case 1:  // a byte, often one that numbers end at
      if (at < input.size()) {
        input[at] = rng_.below(2) == 0 ? "\x00\x01\x7f\xff"[rng_.below(4)] : static_cast<char>(rng_.below(256));
      }
      break;
    case 2:
      input.insert(at, 1, static_cast<char>(rng_.below(256)));
      break;
    case 3:
      input.erase(at, run);
      break;
    case 4:
      input.insert(at, std::string(input.substr(rng_.below(input.size() + 1), run)));
      break;
    case 5:
      if (!words_.empty()) input.insert(at, words_[rng_.below(words_.size())]);
      break;
    default: {  // the front of this one, the back of another
      const std::string& other = seeds_[rng_.below(seeds_.size())];
      input.resize(at);
      input += other.substr(rng_.below(other.size() + 1));
      break;
    }
  }
}

}  // namespace tidegate::fuzz
