#include "bench/load/load_run.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <deque>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "bench/load/arrivals.h"
#include "bench/load/client_connection.h"
#include "bench/load/recorder.h"

namespace tidegate::bench {

namespace {

constexpr Duration kLookEvery = std::chrono::milliseconds(20);
constexpr Duration kExpireEvery = std::chrono::milliseconds(100);
constexpr std::size_t kEventsAtOnce = 512;
constexpr std::uint32_t kReads = EPOLLIN;
constexpr std::uint32_t kWrites = EPOLLOUT;
constexpr Duration kRetryWithoutHeader = std::chrono::seconds(1);

bool is_refusal(int status) { return status == 429 || status == 503; }

std::string request_text(const LoadPlan& plan, const Target& target, const LoadTenant& tenant) {
  std::string text =
      fmt::format("POST {} HTTP/1.1\r\nHost: {}:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
                  plan.path, target.host, target.port, plan.body.size());
  if (!tenant.key.empty()) text += "Authorization: Bearer " + tenant.key + "\r\n";
  for (const auto& [name, value] : plan.headers) text += name + ": " + value + "\r\n";
  return text + "\r\n" + plan.body;
}

class LoadRun {
 public:
  LoadRun(const LoadPlan& plan, const Clock& clock, std::vector<Arrival> arrivals)
      : plan_(plan), clock_(clock), arrivals_(std::move(arrivals)), began_(clock.mono()), recorder_(plan, began_) {
    for (const Target& target : plan.targets) {
      auto& texts = texts_.emplace_back();
      for (const LoadTenant& tenant : plan.tenants) texts.push_back(request_text(plan, target, tenant));
    }
    idle_.resize(plan.targets.size());
    phase_end_ = began_ + plan.phases.front().length;
  }
  ~LoadRun() {
    slots_.clear();
    if (epoll_ >= 0) ::close(epoll_);
  }
  LoadRun(const LoadRun&) = delete;
  LoadRun& operator=(const LoadRun&) = delete;

  Result<LoadFigures> run() {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) return fail(Code::kInternal, "no_epoll", "the system gives no epoll");
    recorder_.begin_phase(began_);
    for (std::int64_t i = 0; i < plan_.clients; ++i) ask_again(began_);
    while (!is_over(clock_.mono())) {
      const Mono now = clock_.mono();
      turn_phase(now);
      take_due(now);
      expire(now);
      place_waiting();
      if (!problem_.reason.empty()) return fail(problem_);
      wait(now);
    }
    drop_rest();
    return recorder_.take();
  }

 private:
  struct Slot {
    std::unique_ptr<ClientConnection> connection;  // null while free
    std::uint32_t generation = 0;
    std::uint32_t target = 0;
    bool is_armed_for_write = false;
  };
  struct Later {
    Ask ask;
    bool operator<(const Later& other) const { return ask.due > other.ask.due; }  // the earliest on top
  };

  bool phases_are_over() const { return phase_ == plan_.phases.size(); }

  bool is_over(Mono now) const {
    if (!phases_are_over()) return false;
    if (now >= phase_end_ + plan_.drain_max) return true;
    const bool is_retry_near = !later_.empty() && later_.top().ask.due < phase_end_ + plan_.drain_max;
    return busy_ == 0 && waiting_.empty() && !is_retry_near;
  }

  void turn_phase(Mono now) {
    while (!phases_are_over() && now >= phase_end_) {
      recorder_.end_phase(now, busy_);
      ++phase_;
      if (!phases_are_over()) phase_end_ += plan_.phases[phase_].length;
    }
  }

  void take_due(Mono now) {
    for (; plan_.clients == 0 && next_arrival_ < arrivals_.size(); ++next_arrival_) {
      const Arrival& arrival = arrivals_[next_arrival_];
      const Mono due = began_ + arrival.at;
      if (due > now) break;
      recorder_.on_late(now - due);
      enqueue({.due = due, .phase = arrival.phase, .tenant = arrival.tenant});
    }
    while (!later_.empty() && later_.top().ask.due <= now) {
      enqueue(later_.top().ask);
      later_.pop();
    }
  }

  void enqueue(const Ask& ask) {
    recorder_.on_due(ask);
    waiting_.push_back(ask);
  }

  /// A client of a closed loop, free again.
  void ask_again(Mono now) {
    if (phases_are_over()) return;
    const auto tenant = static_cast<std::uint32_t>(asked_++ % plan_.tenants.size());
    enqueue({.due = now, .phase = static_cast<std::uint32_t>(phase_), .tenant = tenant});
  }

  void place_waiting() {
    while (!waiting_.empty() && problem_.reason.empty()) {
      const std::int64_t slot = free_connection();
      if (slot < 0) return;
      const Ask ask = waiting_.front();
      waiting_.pop_front();
      begin(static_cast<std::uint32_t>(slot), ask);
    }
  }

  /// -1: every connection is busy and there may be no more.
  std::int64_t free_connection() {
    const auto target = static_cast<std::uint32_t>(placed_++ % plan_.targets.size());
    if (!idle_[target].empty()) return take_idle(target);
    if (open_ < plan_.connections_max) return open_connection(target);
    for (std::uint32_t other = 0; other < idle_.size(); ++other) {
      if (!idle_[other].empty()) return take_idle(other);
    }
    return -1;
  }

  std::int64_t take_idle(std::uint32_t target) {
    const std::uint32_t slot = idle_[target].back();
    idle_[target].pop_back();
    return slot;
  }

  std::int64_t open_connection(std::uint32_t target) {
    auto opened = ClientConnection::open(plan_.targets[target], plan_.is_stream, clock_, recorder_);
    if (!opened) {
      problem_ = opened.error();
      return -1;
    }
    recorder_.on_connect();
    if (free_slots_.empty()) {
      free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    const std::uint32_t index = free_slots_.back();
    free_slots_.pop_back();
    Slot& slot = slots_[index];
    slot.connection = *std::move(opened);
    ++slot.generation;
    slot.target = target;
    slot.is_armed_for_write = true;
    epoll_event event{};
    event.events = kReads | kWrites;
    event.data.u64 = (std::uint64_t{slot.generation} << 32) | index;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, slot.connection->fd(), &event);
    ++open_;
    return index;
  }

  void arm(std::uint32_t index) {
    Slot& slot = slots_[index];
    const bool wants = slot.connection->wants_write();
    if (wants == slot.is_armed_for_write) return;
    slot.is_armed_for_write = wants;
    epoll_event event{};
    event.events = wants ? kReads | kWrites : kReads;
    event.data.u64 = (std::uint64_t{slot.generation} << 32) | index;
    ::epoll_ctl(epoll_, EPOLL_CTL_MOD, slot.connection->fd(), &event);
  }

  void close(std::uint32_t index) {
    Slot& slot = slots_[index];
    if (!slot.connection) return;
    slot.connection.reset();  // leaves the epoll by itself
    free_slots_.push_back(index);
    --open_;
  }

  void begin(std::uint32_t index, const Ask& ask) {
    Slot& slot = slots_[index];
    ++busy_;
    const auto progress = slot.connection->begin(ask, texts_[slot.target][ask.tenant]);
    on_progress(index, progress);
  }

  void on_progress(std::uint32_t index, ClientConnection::Progress progress) {
    switch (progress) {
      case ClientConnection::Progress::kWaiting:
        arm(index);
        return;
      case ClientConnection::Progress::kDone:
        on_answer(index);
        return;
      case ClientConnection::Progress::kLost:
        on_lost(index);
        return;
    }
  }

  void on_answer(std::uint32_t index) {
    ClientConnection& connection = *slots_[index].connection;
    const Mono now = clock_.mono();
    const Exchange exchange = connection.exchange();
    const int status = connection.reader().status();
    --busy_;
    if (status == 200 && connection.is_whole()) {
      recorder_.on_answered(exchange, now, connection.completion_tokens());
    } else if (is_refusal(status)) {
      const int told = connection.reader().retry_after_s();
      const Duration pause = told > 0 ? Duration(std::chrono::seconds(told)) : kRetryWithoutHeader;
      const bool comes_back = exchange.ask.tries < plan_.retries_max;
      recorder_.on_refused(exchange, now, status, pause, comes_back);
      if (comes_back) {
        Ask again = exchange.ask;
        again.due = now + pause;
        ++again.tries;
        later_.push({again});
      }
    } else {
      recorder_.on_failed(exchange.ask, status == 200 ? 0 : status);
    }
    // An answer that came before all of the question was sent leaves no room for the next one.
    if (connection.reader().closes() || connection.wants_write()) {
      close(index);
    } else {
      connection.free();
      idle_[slots_[index].target].push_back(index);
    }
    if (plan_.clients > 0) ask_again(now);
  }

  void on_lost(std::uint32_t index) {
    ClientConnection& connection = *slots_[index].connection;
    if (!connection.is_busy()) {
      std::erase(idle_[slots_[index].target], index);
      close(index);
      return;
    }
    const Exchange exchange = connection.exchange();
    // The server closed an idle connection while our request was on its way: as every client does, on a new one.
    const bool is_stale = !connection.is_fresh() && exchange.first_byte == Mono{};
    const int status = connection.reader().status();
    close(index);
    --busy_;
    if (is_stale) {
      waiting_.push_front(exchange.ask);
      return;
    }
    recorder_.on_failed(exchange.ask, status == 200 ? 0 : status);
    if (plan_.clients > 0) ask_again(clock_.mono());
  }

  void expire(Mono now) {
    if (now < next_expiry_) return;
    next_expiry_ = now + kExpireEvery;
    while (!waiting_.empty() && now - waiting_.front().due > plan_.answer_max) {
      recorder_.on_unfinished(waiting_.front());
      waiting_.pop_front();
      if (plan_.clients > 0) ask_again(now);
    }
    for (std::uint32_t index = 0; index < slots_.size(); ++index) {
      const auto& connection = slots_[index].connection;
      if (!connection || !connection->is_busy() || now - connection->exchange().ask.due <= plan_.answer_max) continue;
      recorder_.on_unfinished(connection->exchange().ask);
      close(index);
      --busy_;
      if (plan_.clients > 0) ask_again(now);
    }
  }

  void wait(Mono now) {
    Mono until = now + kLookEvery;
    if (plan_.clients == 0 && next_arrival_ < arrivals_.size())
      until = std::min(until, began_ + arrivals_[next_arrival_].at);
    if (!later_.empty()) until = std::min(until, later_.top().ask.due);
    if (!phases_are_over()) until = std::min(until, phase_end_);
    const std::int64_t ns = std::max<std::int64_t>((until - clock_.mono()).count(), 0);
    const timespec timeout{static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
    std::array<epoll_event, kEventsAtOnce> events;
    const int count = ::epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      const auto index = static_cast<std::uint32_t>(event.data.u64 & 0xffffffff);
      const auto generation = static_cast<std::uint32_t>(event.data.u64 >> 32);
      // An event before this one may have closed it, and the place may have another owner.
      const auto is_there = [&] { return slots_[index].connection && slots_[index].generation == generation; };
      if (is_there() && (event.events & kWrites) != 0) on_progress(index, slots_[index].connection->flush());
      if (is_there() && (event.events & ~kWrites) != 0) {
        on_progress(index, slots_[index].connection->read());
      }
    }
  }

  void drop_rest() {
    for (const Slot& slot : slots_) {
      if (slot.connection && slot.connection->is_busy()) recorder_.on_unfinished(slot.connection->exchange().ask);
    }
    for (const Ask& ask : waiting_) recorder_.on_unfinished(ask);
  }

  const LoadPlan& plan_;
  const Clock& clock_;
  const std::vector<Arrival> arrivals_;
  const Mono began_;
  Recorder recorder_;
  std::vector<std::vector<std::string>> texts_;  // [target][tenant]
  int epoll_ = -1;
  std::deque<Slot> slots_;  // a slot stays where it is while others are added
  std::vector<std::uint32_t> free_slots_;
  std::vector<std::vector<std::uint32_t>> idle_;  // [target]
  std::deque<Ask> waiting_;                       // due, without a connection
  std::priority_queue<Later> later_;              // refused, waiting as they were told
  std::size_t next_arrival_ = 0;
  std::size_t phase_ = 0;
  Mono phase_end_;  // of the running phase; of the last one when all are over
  Mono next_expiry_{};
  std::uint64_t asked_ = 0, placed_ = 0, busy_ = 0;
  std::int64_t open_ = 0;
  Error problem_;
};

}  // namespace

Result<LoadFigures> run_load(const LoadPlan& plan, const Clock& clock) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  ::prctl(PR_SET_TIMERSLACK, 1000UL);  // ns; the default of 50 us would be in every latency
  std::vector<Arrival> arrivals;
  if (plan.clients == 0) {
    TG_ASSIGN(arrivals, plan_arrivals(plan.phases, plan.spacing, plan.seed));
  }
  LoadRun run(plan, clock, std::move(arrivals));
  return run.run();
}

}  // namespace tidegate::bench
