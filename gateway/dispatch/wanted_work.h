#pragma once

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <optional>
#include <utility>
#include <variant>

#include "gateway/dispatch/flow_inbox.h"

namespace tidegate::gateway {

/// nullopt: the client left first, or the gateway stops; the work was cancelled, and has ended.
template <typename T>
awaitable<std::optional<T>> while_wanted(FlowInbox& inbox, awaitable<T> work) {
  using namespace asio::experimental::awaitable_operators;
  auto unwanted = inbox.wait_until_unwanted();
  auto both = std::move(work) || std::move(unwanted);
  auto first = co_await std::move(both);
  std::optional<T> done;
  if (first.index() == 0) done.emplace(std::get<0>(std::move(first)));
  co_return done;
}

}  // namespace tidegate::gateway
