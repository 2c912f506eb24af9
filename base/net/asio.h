#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace tidegate {

namespace asio = boost::asio;

template <typename T = void>
using awaitable = boost::asio::awaitable<T>;
using Executor = boost::asio::any_io_executor;

}  // namespace tidegate
