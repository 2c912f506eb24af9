#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/net/asio.h"

namespace tidegate {

/// co_await with it throws nothing: what went wrong is the first of the values that come back.
inline constexpr auto kQuiet = asio::as_tuple(asio::use_awaitable);

}  // namespace tidegate
