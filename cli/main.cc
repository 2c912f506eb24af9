// tidegate: everything a person does.

#include <fmt/format.h>

#include <cstdio>

#include "cli/command.h"

namespace tidegate::cli {
namespace {

void print_overview() {
  fmt::print("tidegate COMMAND [ARGUMENTS] [--json] [--endpoint FILE] [--token-file FILE]\n\n");
  for (const Command& command : commands()) fmt::print("  {:<18} {}\n", command.name, command.summary);
  fmt::print(
      "\n'tidegate COMMAND --help' shows options and examples. Addresses and keys come from --endpoint FILE, from\n"
      "$TIDEGATE_ENDPOINT, or from var/endpoint.json of the installation this program belongs to. A token of your\n"
      "identity provider takes the administrator key's place: --token-file FILE, or $TIDEGATE_TOKEN.\n");
}

void print_help(const Command& command) {
  fmt::print("tidegate {} {}\n\n{}\n", command.name, command.usage, command.summary);
  if (!command.examples.empty()) fmt::print("\nExamples:\n{}", command.examples);
}

/// The command whose name is the longest match of the first words.
const Command* find(const std::vector<std::string>& words, std::size_t& used) {
  for (std::size_t length = std::min<std::size_t>(2, words.size()); length > 0; --length) {
    const std::string name = length == 2 ? words[0] + " " + words[1] : words[0];
    for (const Command& command : commands()) {
      if (command.name == name) {
        used = length;
        return &command;
      }
    }
  }
  return nullptr;
}

int run(std::vector<std::string> words) {
  if (words.empty() || words[0] == "--help" || words[0] == "help") {
    print_overview();
    return words.empty() ? 2 : 0;
  }
  std::size_t used = 0;
  const Command* command = find(words, used);
  if (command == nullptr) {
    fmt::print(stderr, "tidegate: no command '{}'. Did you mean one of these?\n", words[0]);
    for (const Command& each : commands()) {
      if (each.name.starts_with(words[0].substr(0, 2))) fmt::print(stderr, "  {}\n", each.name);
    }
    return 2;
  }
  words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(used));
  for (const auto& word : words) {
    if (word == "--help") {
      print_help(*command);
      return 0;
    }
  }
  auto arguments = Arguments::parse(words, command->options, command->switches);
  const Status status = arguments ? command->run(*arguments) : Status(std::unexpected(arguments.error()));
  if (status) return 0;
  if (!status.error().message.empty()) {
    fmt::print(stderr, "tidegate {}: {} [{}]\n", command->name, status.error().message, status.error().reason);
  }
  if (status.error().reason == "bad_usage") fmt::print(stderr, "usage: tidegate {} {}\n", command->name, command->usage);
  return status.error().reason == "bad_usage" ? 2 : 1;
}

}  // namespace
}  // namespace tidegate::cli

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 1 << 16);
  return tidegate::cli::run(std::vector<std::string>(argv + 1, argv + argc));
}
