#include "gateway/adapters/pooled_guard.h"

#include <atomic>
#include <memory>
#include <utility>

#include "base/net/suspend.h"

namespace tidegate::gateway {

awaitable<Result<GuardVerdict>> PooledGuard::check(const GuardCheck& check) {
  std::size_t bytes = 0;
  for (const GuardText& text : check.texts) bytes += text.all.size();
  if (bytes <= kHereBytesMax) co_return book_.judge(check);
  using Done = Resume<Result<GuardVerdict>>;
  // Shared with the job, which reads it when its turn has come: who was cancelled is not judged any more. One that is
  // being judged ends by itself, in time that the size of a body bounds.
  auto is_given_up = std::make_shared<std::atomic<bool>>(false);
  auto start = [this, &check, is_given_up](Done resume) {
    // Shared, for a job that is refused is gone.
    auto done = std::make_shared<Done>(std::move(resume));
    // `check` lives until `done` is called: its owner waits here.
    const bool is_taken = pool_.try_submit([this, &check, is_given_up, done] {
      if (is_given_up->load()) {
        return (*done)(fail(Code::kCancelled, "guard_given_up", "Nobody waits for this verdict any more."));
      }
      (*done)(book_.judge(check));
    });
    if (!is_taken) {
      (*done)(fail(Code::kResourceExhausted, "guard_busy",
                   "Too many long texts wait for the rules; see guard.threads and guard.calls."));
    }
  };
  auto cancel = [is_given_up] { is_given_up->store(true); };
  auto judging = suspend<Result<GuardVerdict>>(std::move(start), std::move(cancel));
  co_return co_await std::move(judging);
}

}  // namespace tidegate::gateway
