// The built-in policy on content as a server of its own, and its rules file without a gateway.

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <string>
#include <utility>

#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/core/encoding.h"
#include "base/rpc/server.h"
#include "base/rpc/work_pool.h"
#include "cli/commands.h"
#include "cli/text_file.h"
#include "gateway/adapters/guard_service.h"
#include "gateway/guard/guard_text.h"
#include "gateway/guard/rule_file.h"

namespace tidegate::cli {
namespace {

constexpr std::int64_t kWindowDefault = 512;
constexpr std::size_t kTextBytesMax = 3'000'000;
constexpr std::size_t kCallsWaitingMax = 1'024;
constexpr auto kDrainWithin = std::chrono::seconds(5);

Result<gateway::RuleBook> rules_of(const Arguments& arguments) {
  TG_ASSIGN(const std::string path, arguments.required_option("rules"));
  TG_ASSIGN(const std::int64_t window, arguments.integer_option("window", kWindowDefault));
  const auto least = static_cast<std::int64_t>(gateway::RuleBook::kWindowBytesMin);
  const auto most = static_cast<std::int64_t>(gateway::RuleBook::kWindowBytesMax);
  if (window < least || window > most) {
    return fail(Code::kInvalidArgument, "bad_usage", fmt::format("--window must be {} to {} bytes", least, most));
  }
  return gateway::load_rules(path, static_cast<std::size_t>(window));
}

Result<rpc::AuthGate> gate_of(const Arguments& arguments) {
  if (!arguments.has("token-file")) return rpc::AuthGate::open();
  TG_ASSIGN(std::string token, read_text(arguments.option("token-file")));
  while (token.ends_with('\n')) token.pop_back();
  if (token.empty()) return fail(Code::kInvalidArgument, "bad_usage", "--token-file names an empty file");
  return rpc::AuthGate::required(std::move(token));
}

Status guard_serve(const Arguments& arguments) {
  // Before any thread is made: all of them leave these two to sigwait().
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  TG_ASSIGN(const gateway::RuleBook book, rules_of(arguments));
  TG_ASSIGN(rpc::AuthGate gate, gate_of(arguments));
  TG_ASSIGN(const std::int64_t threads, arguments.integer_option("threads", 2));
  if (threads < 1 || threads > 64) return fail(Code::kInvalidArgument, "bad_usage", "--threads must be 1 to 64");
  rpc::WorkPool pool(static_cast<std::size_t>(threads), kCallsWaitingMax, "guard");
  gateway::GuardService service(book, pool, std::move(gate));
  rpc::ServerOptions options;
  options.listen = {arguments.option("listen", "127.0.0.1:8085")};
  TG_ASSIGN(auto server, rpc::RpcServer::start(options, {&service}));
  fmt::print("guard: {} rules at {}\n", book.rules().size(), server->addresses().front());
  std::fflush(stdout);
  int signal_number = 0;
  sigwait(&ends, &signal_number);
  server->drain(Deadline::after(SystemClock().mono(), kDrainWithin));
  server.reset();
  pool.stop();
  return {};
}

/// A line for each rule; with text on standard input what would become of it.
Status guard_check(const Arguments& arguments) {
  TG_ASSIGN(const gateway::RuleBook book, rules_of(arguments));
  for (const gateway::GuardRule& rule : book.rules()) {
    const char* direction = !rule.is_for_output ? "input" : rule.is_for_input ? "both" : "output";
    fmt::print("{:<32} {:<7} {:<5} {}\n", rule.name, direction, gateway::action_name(rule.action),
               rule.pii != nullptr ? rule.pii->name : "pattern");
  }
  fmt::print("longest match in an answer: {} bytes\n", book.output_bytes_max());
  if (!arguments.has("text")) return {};
  const std::string text((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
  if (text.size() > kTextBytesMax || !is_valid_utf8(text)) {
    return fail(Code::kInvalidArgument, "bad_input", fmt::format("send at most {} bytes of UTF-8", kTextBytesMax));
  }
  gateway::GuardSubject subject;
  subject.tenant_name = arguments.option("tenant");
  subject.model = arguments.option("model");
  gateway::GuardText one;
  one.role = "user";
  one.all = text;
  const auto direction = arguments.option("direction", "input") == "output" ? gateway::GuardDirection::kOutput
                                                                            : gateway::GuardDirection::kInput;
  const gateway::GuardCheck check{subject, direction, {one}, book.window_bytes()};
  const gateway::GuardVerdict verdict = book.judge(check);
  fmt::print("{}", gateway::decided_text(verdict, 0, text));
  for (const gateway::GuardHit& hit : verdict.hits) {
    fmt::print(stderr, "{}: {}\n", hit.rule, gateway::action_name(hit.action));
  }
  return {};
}

}  // namespace

std::vector<Command> guard_commands() {
  return {
      {"guard serve", "Serve a rules file to gateways (guard.address) until SIGTERM.",
       "--rules FILE [--listen HOST:PORT|unix:PATH] [--token-file FILE] [--window BYTES] [--threads N]",
       "  tidegate guard serve --rules docs/guard_rules.example.json --listen unix:/run/tidegate/guard.sock\n",
       {"rules", "listen", "token-file", "window", "threads"}, {}, guard_serve},
      {"guard check", "Check a rules file; with --text, say what becomes of standard input.",
       "--rules FILE [--window BYTES] [--text] [--direction input|output] [--tenant NAME] [--model NAME]",
       "  tidegate guard check --rules rules.json\n"
       "  echo 'card 4111 1111 1111 1111' | tidegate guard check --rules rules.json --text\n",
       {"rules", "window", "direction", "tenant", "model"}, {"text"}, guard_check},
  };
}

}  // namespace tidegate::cli
