#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>

#include "base/core/clock.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"

namespace tidegate::cli {

namespace {

constexpr const char* kDim = "\033[2m";
constexpr const char* kPlain = "\033[0m";

Result<double> number_option(const Arguments& arguments, std::string_view name) {
  const std::string text = arguments.option(name);
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (text.empty() || end != text.c_str() + text.size()) {
    return fail(Code::kInvalidArgument, "bad_usage", fmt::format("--{} takes a number, not '{}'", name, text), std::string(name));
  }
  return number;
}

Result<v1::ChatRequest> build_request(const Arguments& arguments) {
  v1::ChatRequest request;
  request.set_model(arguments.option("model", "tang-moe"));
  if (arguments.has("system")) {
    auto* message = request.add_messages();
    message->set_role("system");
    message->set_content(arguments.option("system"));
  }
  auto* message = request.add_messages();
  message->set_role("user");
  if (!arguments.words().empty()) {
    std::string text;
    for (const auto& word : arguments.words()) text += (text.empty() ? "" : " ") + word;
    message->set_content(text);
  } else {
    message->set_content(std::string(std::istreambuf_iterator<char>(std::cin), {}));
  }
  auto* sampling = request.mutable_sampling();
  if (arguments.has("temperature")) {
    TG_ASSIGN(const double value, number_option(arguments, "temperature"));
    sampling->set_temperature(value);
  }
  if (arguments.has("top-p")) {
    TG_ASSIGN(const double value, number_option(arguments, "top-p"));
    sampling->set_top_p(value);
  }
  if (arguments.has("seed")) {
    TG_ASSIGN(const auto value, arguments.integer_option("seed", 0));
    sampling->set_seed(static_cast<std::uint64_t>(value));
  }
  TG_ASSIGN(const auto max_tokens, arguments.integer_option("max-tokens", 0));
  sampling->set_max_tokens(static_cast<std::int32_t>(max_tokens));
  return request;
}

/// Prints events as they come; thinking is dimmed on a terminal.
class Printer {
 public:
  explicit Printer(bool json) : json_(json), terminal_(isatty(1) == 1) {}

  void print(const v1::ChatEvent& event) {
    if (json_) {
      fmt::print("{}\n", message_json(event));
      return;
    }
    if (event.has_accepted()) {
      request_id_ = event.accepted().request_id();
      model_ = event.accepted().model();
    } else if (event.has_delta()) {
      switch_to(!event.delta().reasoning().empty());
      fmt::print("{}{}", event.delta().reasoning(), event.delta().content());
    } else {
      finish(event.finished());
    }
    std::fflush(stdout);
  }

 private:
  void switch_to(bool thinking) {
    if (thinking == thinking_) return;
    thinking_ = thinking;
    if (terminal_) {
      fmt::print("{}", thinking ? kDim : std::string("\n") + kPlain);
    } else {
      fmt::print("{}", thinking ? "[thinking] " : "\n[answer] ");
    }
  }

  void finish(const v1::ChatEvent::Finished& done) {
    const auto& usage = done.usage();
    const auto& cost = done.cost();
    fmt::print("{}\n\n", terminal_ && thinking_ ? kPlain : "");
    fmt::print("request   {} on {}, finish {}\n", request_id_, model_, done.finish_reason());
    fmt::print("tokens    {} prompt ({} cached) + {} completion ({} thinking)\n", usage.prompt_tokens(), usage.cached_tokens(),
               usage.completion_tokens(), usage.reasoning_tokens());
    fmt::print("price     band {}, version {}\n", cost.band(), cost.price_version());
    fmt::print("cost      {} {}\n", cost.amount(), cost.currency());
  }

  bool json_;
  bool terminal_;
  bool thinking_ = false;
  std::string request_id_;
  std::string model_;
};

Status chat(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const v1::ChatRequest request, build_request(arguments));
  grpc::ClientContext context;
  connection.prepare_inference(context, arguments.option("key"));
  const SystemClock clock;
  const Mono began = clock.mono();
  Duration first{};
  Printer printer(arguments.wants_json());
  const auto reader = connection.inference().Chat(&context, request);
  v1::ChatEvent event;
  std::int32_t tokens = 0;
  while (reader->Read(&event)) {
    if (event.has_delta() && first == Duration::zero()) first = clock.mono() - began;
    if (event.has_finished()) tokens = event.finished().usage().completion_tokens();
    printer.print(event);
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return std::unexpected(Connection::to_error(status, context));
  if (!arguments.wants_json()) {
    const auto seconds = [](Duration span) { return static_cast<double>(span.count()) / 1e9; };
    const double total = seconds(clock.mono() - began);
    fmt::print("time      first token {:.0f} ms, {:.0f} tokens/s\n", seconds(first) * 1e3, tokens > 0 ? tokens / total : 0.0);
  }
  return {};
}

}  // namespace

std::vector<Command> chat_commands() {
  return {{"chat", "Ask a model; shows its thinking, its answer and the cost.",
           "[TEXT...] [--model NAME] [--system TEXT] [--temperature T] [--top-p P] [--seed N] [--max-tokens N] [--key KEY]",
           "  tidegate chat '写一首关于月的五言绝句。'\n"
           "  echo 'Write a five-character quatrain about snow.' | tidegate chat --seed 7\n",
           {"model", "system", "temperature", "top-p", "seed", "max-tokens", "key"}, {}, chat}};
}

}  // namespace tidegate::cli
