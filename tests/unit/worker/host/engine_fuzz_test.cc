// Random schedules against a model of the engine (engine_model.h). Requests of several tenants come through several
// streams, some of which are slow, stop reading or break; they are cancelled, run out of time, are preempted, end
// inside of guesses, or meet a numeric fault. Whatever happens: what is billed is what was said, nothing leaks, and
// nobody else notices. Each of these must have happened, or the run fails.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/core/random.h"
#include "tests/support/log_capture.h"
#include "tests/support/sim_clock.h"
#include "tests/unit/worker/host/engine_model.h"
#include "tests/unit/worker/host/watched_engine.h"
#include "worker/host/engine_host.h"

namespace tidegate::worker {
namespace {

constexpr std::int32_t kRequestsARound = 40;

std::int64_t requests_asked() {
  const char* asked = std::getenv("TIDEGATE_ENGINE_FUZZ");
  return asked == nullptr ? 1'000 : std::strtoll(asked, nullptr, 10);
}

RequestId id_of(std::uint64_t number) {
  RequestId id;
  for (std::size_t n = 0; n < 8; ++n) id.uuid.bytes[15 - n] = static_cast<std::uint8_t>(number >> (8 * n));
  return id;
}

/// What one request was told, whatever the frames it came in.
struct Told {
  std::string reasoning;
  std::string content;
  std::string stop_text;
  SequenceUsage usage;
  std::optional<FinishReason> finish;
  Error error;
  bool accepted = false;
};

/// A stream that takes frames when it likes.
class FuzzSink final : public SessionSink {
 public:
  explicit FuzzSink(std::map<std::uint64_t, Told>& told) : told_(told) {}
  SendResult try_send(SessionFrame& frame) override {
    if (is_full) {
      ++refusals;
      return SendResult::kFull;
    }
    EXPECT_GE(frame.credits_total, credits);
    credits = frame.credits_total;
    for (SessionEvent& event : frame.events) {
      Told& told = told_[event.sequence];
      EXPECT_FALSE(told.finish.has_value()) << "an event behind the last one";
      EXPECT_TRUE(is_valid_utf8(event.reasoning) && is_valid_utf8(event.content));
      EXPECT_GE(event.usage.completion_tokens, told.usage.completion_tokens);
      told.accepted = told.accepted || event.accepted;
      told.reasoning += event.reasoning;
      told.content += event.content;
      told.usage = event.usage;
      told.finish = event.finish;
      told.stop_text = event.stop_text;
      told.error = event.error;
    }
    return SendResult::kTaken;
  }
  bool is_full = false;
  std::int64_t refusals = 0;
  std::uint64_t credits = 0;

 private:
  std::map<std::uint64_t, Told>& told_;
};

class FuzzMeter final : public UsageMeter {
 public:
  void record(const MeterEntry& entry) override { entries[entry.request].push_back(entry); }
  std::map<RequestId, std::vector<MeterEntry>> entries;
};

/// Everything that happened, so that the run can say that it was no easy one.
struct Tally {
  std::int64_t requests = 0;
  std::int64_t whole = 0;
  std::int64_t cut = 0;
  std::int64_t never_accepted = 0;
  std::int64_t stops = 0;
  std::int64_t faults = 0;
  std::int64_t preemptions = 0;
  std::int64_t accepted_guesses = 0;
  std::int64_t wrong_guesses = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t detached = 0;
  std::int64_t refused_frames = 0;
  std::int64_t cut_off_readers = 0;
  std::int64_t preempted_whole = 0;  ///< requests that were thrown out amid their answer, and said all of it
  std::int64_t stops_inside_drafts = 0;
  std::int64_t cancels = 0;
  std::int64_t cancels_of_all = 0;
  std::int64_t steps_checked = 0;
  std::int64_t computed_checked =
      0;  ///< prompt tokens of rounds in which cached + computed = prompt adds up in the backend
  std::int64_t cached_checked = 0;
};

struct Counted {
  const char* what;
  std::int64_t count;
  std::int64_t more_than;
};

/// Otherwise the claim was tested on easy days only.
void report(const Tally& tally, std::int64_t asked) {
  const Counted all[] = {
      {"requests", tally.requests, asked - 1},
      {"whole answers", tally.whole, asked / 3},
      {"  ended by a stop string", tally.stops, asked / 50},
      {"  of them inside a draft", tally.stops_inside_drafts, 0},
      {"  with a numeric fault", tally.faults, 0},
      {"  preempted on the way", tally.preempted_whole, 0},
      {"cut answers", tally.cut, asked / 50},
      {"never accepted", tally.never_accepted, -1},
      {"lost with their stream", tally.detached, 0},
      {"preemptions", tally.preemptions, 0},
      {"right guesses", tally.accepted_guesses, asked},
      {"wrong guesses", tally.wrong_guesses, asked},
      {"prompt tokens from the cache", tally.cached_tokens, asked},
      {"frames that a slow reader refused", tally.refused_frames, 0},
      {"rounds with readers cut off", tally.cut_off_readers, 0},
      {"cancels seen done after one step", tally.cancels, asked / 50},
      {"cancels of all, no block left after one step", tally.cancels_of_all, 0},
      {"steps with no block beyond the living's", tally.steps_checked, asked},
      {"cached + computed = prompt: tokens computed", tally.computed_checked, asked},
      {"cached + computed = prompt: tokens cached", tally.cached_checked, 0},
  };
  for (const Counted& counted : all) {
    std::printf("  %-46s %lld\n", counted.what, static_cast<long long>(counted.count));
    EXPECT_GT(counted.count, counted.more_than) << counted.what;
  }
}

class Round {
 public:
  Round(std::uint64_t seed, Tally& tally)
      : rng_(seed),
        tally_(tally),
        is_calm_(rng_.below(4) == 0),
        is_stubborn_(!is_calm_ && rng_.below(3) == 0),
        is_tight_(!is_calm_ && rng_.below(2) == 0) {
    const auto sequences = static_cast<std::int32_t>(is_tight_ ? 8 : 1 + rng_.below(8));
    const std::uint64_t blocks_more = is_tight_ ? rng_.below(3) : rng_.below(16);
    limits_ = {.schedule = {sequences, static_cast<std::int32_t>(sequences + rng_.below(90))},
               .waiting_max = 4 * sequences + 64,
               .kv_blocks = static_cast<std::int32_t>(is_calm_ ? 200 : 8 + blocks_more),
               .prefix_cache = rng_.below(4) != 0,
               .drafts_batch_max = rng_.below(3) == 0 ? 0 : static_cast<std::int32_t>(1 + rng_.below(8))};
    harness_ = std::make_unique<EngineHarness>(limits_, [this](FakeBackend& backend) {
      backend.end_chance = static_cast<std::uint32_t>(is_tight_ ? 0 : rng_.below(8));
      backend.draft_chance = static_cast<std::uint32_t>(1 + rng_.below(256));
      backend.never = '@';
      backend.poison = FakeBackend::kFirstByte + '@';
      backend.poison_as_nan = rng_.below(2) == 0;
    });
    watched_ = std::make_unique<WatchedEngine>(*harness_->engine);
    const std::size_t outbox_bytes = is_stubborn_ ? 512 : 2048;
    host_ = std::make_unique<EngineHost>(
        *watched_, metrics_, log_, HostLimits{.credits_overcommit = 2, .outbox_bytes_max = outbox_bytes}, &meter_);
  }

  void run() {
    for (std::int32_t turn = 0; started_ < kRequestsARound || host_->live() > 0; ++turn) {
      ASSERT_LT(turn, 30'000) << "the engine makes no progress";
      act();
      host_->turn(clock_.mono());
      clock_.advance(std::chrono::milliseconds(1));
      ASSERT_NO_FATAL_FAILURE(check_turn());
    }
    // Slow readers catch up.
    for (auto& [id, sink] : streams_) sink->is_full = false;
    for (int turn = 0; turn < 3; ++turn) host_->turn(clock_.mono());
    check_answers();
    check_totals();
  }

 private:
  const KvPool& pool() const { return harness_->engine->kv_pool(); }

  void act() {
    if (streams_.empty() || (streams_.size() < 3 && rng_.below(40) == 0)) attach();
    if (started_ < kRequestsARound && rng_.below(3) != 0) start();
    if (is_calm_) return;
    if (rng_.below(25) == 0 && !requests_.empty()) {
      const std::uint64_t number = 1 + rng_.below(requests_.size());
      host_->cancel(stream_of_[number], number);
    }
    for (auto& [id, sink] : streams_) {
      if (is_stubborn_) {
        if (rng_.below(sink->is_full ? 300 : 30) == 0) sink->is_full = !sink->is_full;
      } else if (rng_.below(30) == 0) {
        sink->is_full = rng_.below(3) != 0;
      }
    }
    if (rng_.below(is_tight_ ? 1'000 : 250) == 0) detach();
    if (rng_.below(is_tight_ ? 1'000 : 400) == 0) {
      // Blocks of what is cancelled are free within one step.
      host_->cancel_all();
      host_->turn(clock_.mono());
      EXPECT_EQ(host_->live(), 0);
      EXPECT_EQ(pool().blocks_used(), 0);
      ++tally_.cancels_of_all;
    }
  }

  void attach() {
    const SessionId id = ++last_stream_;
    streams_[id] = std::make_shared<FuzzSink>(told_);
    host_->attach(id, streams_[id]);
  }

  void detach() {
    const auto gone = std::next(streams_.begin(), static_cast<std::ptrdiff_t>(rng_.below(streams_.size())));
    for (const auto& [number, stream] : stream_of_) {
      if (stream == gone->first && !told_[number].finish) {
        lost_.push_back(number);
        ++tally_.detached;
      }
    }
    host_->detach(gone->first);
    tally_.refused_frames += gone->second->refusals;
    streams_.erase(gone);
  }

  void start() {
    auto stream = std::next(streams_.begin(), static_cast<std::ptrdiff_t>(rng_.below(streams_.size())));
    std::uint64_t& used = used_credits_[stream->first];
    if (used >= stream->second->credits) return;
    ++used;
    const std::uint64_t number = ++started_;
    StartCommand command = random_command(number);
    GenerateRequest request;
    request.messages = command.messages;
    request.raw = command.raw;
    request.sampling = command.sampling;
    requests_.emplace(number, std::move(request));
    stream_of_[number] = stream->first;
    host_->start(stream->first, std::move(command), clock_.mono());
  }

  StartCommand random_command(std::uint64_t number) {
    StartCommand command;
    command.sequence = number;
    command.request = id_of(number);
    std::string text;
    for (std::uint64_t n = rng_.below(is_tight_ ? 2 : 5); n > 0; --n)
      text += std::string(60, static_cast<char>('a' + rng_.below(2)));
    text += std::string(1 + rng_.below(30), 'z');
    if (!is_calm_ && rng_.below(20) == 0) text += '@';
    if (rng_.below(2) == 0) {
      command.raw = RawPrompt{.text = text};
    } else {
      command.messages = {{Role::kUser, text}};
    }
    SamplingParams& sampling = command.sampling;
    sampling.temperature = rng_.below(4) == 0 ? 0 : 0.1 * static_cast<double>(1 + rng_.below(15));
    sampling.top_p = rng_.below(2) == 0 ? 1 : 0.9;
    sampling.top_k = static_cast<std::int32_t>(rng_.below(3) == 0 ? rng_.below(6) : 0);
    sampling.seed = rng_.next();
    sampling.max_tokens = static_cast<std::int32_t>(rng_.below(is_tight_ ? 2 : 5) == 0 ? 0 : 1 + rng_.below(120));
    if (rng_.below(3) == 0)
      sampling.stop = {std::string(1, static_cast<char>('a' + rng_.below(26))), "\xEF\xBF\xBD\xEF\xBF\xBD"};
    if (rng_.below(4) == 0) sampling.frequency_penalty = 0.5;
    if (rng_.below(6) == 0) sampling.repetition_penalty = 1.3;
    if (rng_.below(5) == 0) sampling.logprobs = static_cast<std::int32_t>(rng_.below(4));
    if (rng_.below(5) != 0) command.cache_salt = salt_of(static_cast<std::uint8_t>(rng_.below(3)));
    command.collect = rng_.below(3) == 0;
    command.budget = std::chrono::milliseconds(!is_calm_ && rng_.below(12) == 0 ? 1 + rng_.below(60) : 1'000'000);
    return command;
  }

  void check_turn() {
    ASSERT_LE(pool().blocks_used(), pool().blocks_total());
    if (host_->live() == 0) {
      ASSERT_EQ(pool().blocks_used(), 0) << "leaked";
    }
  }

  void check_answers() {
    for (const auto& [number, request] : requests_) {
      SCOPED_TRACE(testing::Message() << "request " << number);
      ++tally_.requests;
      const ModelAnswer model =
          model_answer(*harness_->backend, harness_->engine->model(), request, harness_->engine->facts().context_max);
      const Told& told = told_[number];
      const auto metered = meter_.entries.find(id_of(number));
      const bool is_lost = std::ranges::find(lost_, number) != lost_.end();
      if (metered == meter_.entries.end()) {
        EXPECT_FALSE(told.accepted) << "served, and in no record";
        EXPECT_TRUE(is_lost || told.finish.has_value());
        EXPECT_EQ(told.usage.prompt_tokens + told.usage.completion_tokens, 0);
        ++tally_.never_accepted;
        continue;
      }
      ASSERT_EQ(metered->second.size(), 1U) << "one record a request";
      const MeterEntry& entry = metered->second.front();
      check_usage(entry.usage, model);
      if (is_lost) {
        EXPECT_LE(told.usage.completion_tokens, entry.usage.completion_tokens);
        EXPECT_TRUE(model.reasoning.starts_with(told.reasoning) && model.content.starts_with(told.content));
        continue;
      }
      ASSERT_TRUE(told.finish.has_value());
      EXPECT_EQ(told.usage.prompt_tokens, entry.usage.prompt_tokens);
      EXPECT_EQ(told.usage.cached_tokens, entry.usage.cached_tokens);
      EXPECT_EQ(told.usage.completion_tokens, entry.usage.completion_tokens) << "told and recorded are one";
      EXPECT_EQ(told.usage.reasoning_tokens, entry.usage.reasoning_tokens);
      check_text(told, model);
      const bool is_whole = told.finish == FinishReason::kStop || told.finish == FinishReason::kLength;
      if (is_whole && watched_->preempted.contains(id_of(number))) ++tally_.preempted_whole;
    }
  }

  void check_usage(const SequenceUsage& usage, const ModelAnswer& model) {
    EXPECT_EQ(usage.prompt_tokens, model.prompt_tokens);
    EXPECT_GE(usage.cached_tokens, 0);
    EXPECT_LT(usage.cached_tokens, usage.prompt_tokens);
    ASSERT_LE(usage.completion_tokens, model.completion_tokens());
    EXPECT_EQ(usage.reasoning_tokens, model.reasoning_tokens[static_cast<std::size_t>(usage.completion_tokens)]);
    EXPECT_LE(usage.accepted_tokens, usage.drafted_tokens);
    EXPECT_LE(usage.accepted_tokens, usage.completion_tokens);
    tally_.accepted_guesses += usage.accepted_tokens;
    tally_.wrong_guesses += usage.drafted_tokens - usage.accepted_tokens;
    tally_.cached_tokens += usage.cached_tokens;
    computed_ += usage.prompt_tokens - usage.cached_tokens;
    fed_back_ += std::max(0, usage.completion_tokens - 1) - usage.accepted_tokens;
    guessed_ends_max_ += usage.accepted_tokens > 0 ? 1 : 0;
  }

  void check_text(const Told& told, const ModelAnswer& model) {
    const bool is_cut = told.finish == FinishReason::kCancelled ||
                        (told.finish == FinishReason::kError && told.error.reason != "numeric_fault");
    if (!is_cut) {
      ++tally_.whole;
      tally_.stops += told.stop_text.empty() ? 0 : 1;
      tally_.faults += told.finish == FinishReason::kError ? 1 : 0;
      EXPECT_EQ(told.finish, model.finish);
      EXPECT_EQ(told.stop_text, model.stop_text);
      EXPECT_EQ(told.usage.completion_tokens, model.completion_tokens());
      EXPECT_EQ(told.reasoning, model.reasoning);
      EXPECT_EQ(told.content, model.content);
      return;
    }
    ++tally_.cut;
    // To the token: what was told is exactly what the counted tokens say.
    const auto& [reasoning, content] = model.shown.at(static_cast<std::size_t>(told.usage.completion_tokens));
    EXPECT_EQ(told.reasoning, model.reasoning.substr(0, reasoning));
    EXPECT_EQ(told.content, model.content.substr(0, content));
  }

  void check_totals() {
    const EngineLoad load = harness_->engine->load();
    tally_.preemptions += load.preemptions_total;
    tally_.cut_off_readers += log_.has("session_not_reading") ? 1 : 0;
    for (const auto& [id, sink] : streams_) tally_.refused_frames += sink->refusals;
    tally_.stops_inside_drafts += watched_->stops_inside_drafts;
    tally_.cancels += watched_->cancels_done;
    tally_.steps_checked += watched_->steps_checked;
    EXPECT_EQ(pool().blocks_used(), 0);
    const std::vector<std::int32_t> unowned(static_cast<std::size_t>(pool().blocks_total()), 0);
    EXPECT_TRUE(pool().is_consistent(unowned));
    if (!is_calm_) return;
    EXPECT_EQ(load.preemptions_total, 0);
    // cached + computed = prompt. A right guess spares the step of its token, unless that token was the last.
    EXPECT_GE(harness_->backend->tokens_total, computed_ + fed_back_);
    EXPECT_LE(harness_->backend->tokens_total, computed_ + fed_back_ + guessed_ends_max_);
    tally_.computed_checked += computed_;
    tally_.cached_checked += load.cached_tokens_total;
  }

  Rng rng_;
  Tally& tally_;
  const bool is_calm_;      ///< nobody is cut and nothing is preempted, so that the backend's own count must add up
  const bool is_stubborn_;  ///< who stops reading does not go on soon
  const bool is_tight_;     ///< as many as can be, of answers that grow over several blocks: somebody is thrown out
  EngineLimits limits_;
  test::SimClock clock_;
  test::LogCapture log_;
  MemoryRegistry registry_;
  WorkerMetrics metrics_{registry_};
  FuzzMeter meter_;
  std::map<std::uint64_t, Told> told_;
  std::unique_ptr<EngineHarness> harness_;
  std::unique_ptr<WatchedEngine> watched_;
  std::unique_ptr<EngineHost> host_;
  std::map<SessionId, std::shared_ptr<FuzzSink>> streams_;
  std::map<SessionId, std::uint64_t> used_credits_;
  std::map<std::uint64_t, SessionId> stream_of_;
  std::map<std::uint64_t, GenerateRequest> requests_;
  std::vector<std::uint64_t> lost_;  ///< their stream broke before they ended
  SessionId last_stream_ = 0;
  std::uint64_t started_ = 0;
  std::int64_t computed_ = 0;
  std::int64_t fed_back_ = 0;
  std::int64_t guessed_ends_max_ = 0;
};

TEST(EngineFuzz, WhatIsBilledIsWhatWasSaidAndNothingLeaks) {
  const std::int64_t asked = requests_asked();
  Tally tally;
  for (std::uint64_t seed = 1; tally.requests < asked; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Round schedule(seed, tally);
    schedule.run();
    if (testing::Test::HasFatalFailure()) return;
  }
  report(tally, asked);
}

}  // namespace
}  // namespace tidegate::worker
