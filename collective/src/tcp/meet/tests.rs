use std::io::{IoSlice, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::thread;

use super::*;
use crate::transport::Transport;

const LONG: Duration = Duration::from_secs(3600);
const FENCE: Fence = Fence([4, 1, 1]);

fn doors(ranks: usize) -> (Vec<Listener>, Vec<SocketAddr>) {
    let doors: Vec<Listener> = (0..ranks)
        .map(|_| Listener::bind(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap())
        .collect();
    let addresses = doors.iter().map(Listener::address).collect();
    (doors, addresses)
}

/// Calls `address`, says `bytes`, and reads until the other end hangs up or 64 bytes have come.
fn call(address: SocketAddr, bytes: &[u8]) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let _ = (&stream).take(HEADER as u64).read_to_end(&mut answer);
    (stream, answer)
}

/// Everyone of `doors` meets; the seats, by rank.
fn meet_all(doors: Vec<Listener>, addresses: &[SocketAddr]) -> Vec<Tcp> {
    thread::scope(|scope| {
        let meet = |(rank, door): (usize, Listener)| {
            scope.spawn(move || door.meet(rank, addresses, FENCE, LONG))
        };
        let meetings: Vec<_> = doors.into_iter().enumerate().map(meet).collect();
        meetings
            .into_iter()
            .map(|meeting| meeting.join().unwrap().unwrap())
            .collect()
    })
}

/// Every rank can say something to every other.
fn assert_connected(mut seats: Vec<Tcp>) {
    let ranks = seats.len();
    for from in 0..ranks {
        for to in (0..ranks).filter(|&to| to != from) {
            let word = [from as u8, to as u8];
            assert_eq!(seats[from].send(to, &[IoSlice::new(&word)]).unwrap(), 2);
            let mut heard = [0; 2];
            let mut read = 0;
            while read < 2 {
                let parts = &mut [io::IoSliceMut::new(&mut heard[read..])];
                read += seats[to].receive(from, parts).unwrap();
                seats[to].wait(Duration::from_millis(10)).unwrap();
            }
            assert_eq!(heard, word);
        }
    }
}

#[test]
fn any_number_of_ranks_meet_in_any_order() {
    for ranks in 1..=6 {
        let (doors, addresses) = doors(ranks);
        assert_connected(meet_all(doors, &addresses));
    }
}

#[test]
fn strangers_impostors_and_stale_ranks_are_sent_away_and_the_meeting_goes_on() {
    let (mut doors, addresses) = doors(3);
    let door = doors.remove(0);
    let hello = |fence, sender, receiver, ranks| {
        Frame::bare(Phase::Hello, fence, sender, receiver, ranks)
            .encode()
            .to_vec()
    };
    thread::scope(|scope| {
        let meeting = scope.spawn(|| door.meet(0, &addresses, FENCE, LONG).unwrap());
        let at = addresses[0];
        // These say nothing, or not enough, and stay.
        let mute: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(at).unwrap()).collect();
        let mut halting = TcpStream::connect(at).unwrap();
        halting.write_all(&hello(FENCE, 1, 0, 3)[..40]).unwrap();

        let refused = |bytes: &[u8]| assert_eq!(call(at, bytes).1, [], "closed without a word");
        refused(&[0x16; 200]);
        refused(&hello(FENCE, 0, 0, 3)); // the door's own rank
        refused(&hello(FENCE, 3, 0, 3)); // no such rank
        refused(&hello(FENCE, 1, 2, 3)); // meant for another
        refused(&hello(FENCE, 1, 0, 4)); // another gang size
        refused(&Frame::bare(Phase::Welcome, FENCE, 1, 0, 3).encode());
        let stale = call(at, &hello(Fence([4, 0, 9]), 1, 0, 3)).1;
        let answer = Frame::decode(&stale.try_into().unwrap()).unwrap();
        assert_eq!(
            (answer.phase, answer.fence),
            (Phase::Refused, FENCE),
            "a stale rank is told who meets here"
        );

        // A claim whose connection has died does not keep the seat from its owner.
        let (claim, welcome) = call(at, &hello(FENCE, 1, 0, 3));
        assert_eq!(
            Frame::decode(&welcome.try_into().unwrap()).unwrap().phase,
            Phase::Welcome
        );
        refused(&hello(FENCE, 1, 0, 3)); // taken
        drop(claim);

        let rest = doors.into_iter().zip(1..).map(|(door, rank)| {
            let addresses = &addresses;
            scope.spawn(move || door.meet(rank, addresses, FENCE, LONG).unwrap())
        });
        let rest: Vec<_> = rest.collect();
        let mut seats = vec![meeting.join().unwrap()];
        seats.extend(rest.into_iter().map(|seat| seat.join().unwrap()));
        assert_connected(seats);
        drop((mute, halting));
    });
}

#[test]
fn ranks_that_do_not_come_are_named_at_the_deadline() {
    let (mut doors, addresses) = doors(4);
    let door = doors.remove(1);
    drop(doors.remove(0));
    let result = door.meet(1, &addresses, FENCE, Duration::from_millis(150));
    match result {
        Err(Error::Missing { ranks, reason, .. }) => {
            assert_eq!(ranks, [0, 2, 3]);
            assert_eq!(reason.unwrap().kind(), io::ErrorKind::ConnectionRefused);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_rank_of_an_earlier_generation_ends_fenced_when_it_calls() {
    let (mut doors, addresses) = doors(2);
    let stale = Fence([4, 1, 0]);
    let (late, door) = (doors.remove(1), doors.remove(0));
    let deadline = Duration::from_millis(400);
    thread::scope(|scope| {
        let meeting = scope.spawn(|| door.meet(0, &addresses, FENCE, deadline * 2));
        let result = late.meet(1, &addresses, stale, deadline);
        assert!(
            matches!(result, Err(Error::Fenced { rank: 0, ours, theirs, .. }) if ours == stale && theirs == FENCE),
            "{result:?}"
        );
        let missing = meeting.join().unwrap();
        assert!(
            matches!(missing, Err(Error::Missing { ref ranks, .. }) if *ranks == [1]),
            "{missing:?}"
        );
    });
}

#[test]
fn whoever_answers_in_another_ranks_place_is_not_taken_for_it() {
    let (mut doors, mut addresses) = doors(3);
    // Ranks 0 and 1 have changed places in the list that rank 2 was given.
    let last = doors.pop().unwrap();
    addresses.swap(0, 1);
    let result = last.meet(2, &addresses, FENCE, Duration::from_millis(100));
    assert!(
        matches!(result, Err(Error::Missing { ref ranks, .. }) if *ranks == [0, 1]),
        "{result:?}"
    );
}

#[test]
fn a_seat_that_the_gang_does_not_have_is_refused() {
    let (mut doors, addresses) = doors(2);
    let result = doors.remove(0).meet(2, &addresses, FENCE, LONG);
    assert!(matches!(result, Err(Error::Seat { rank: 2, ranks: 2 })));
    let elsewhere = Listener::bind(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    assert!(matches!(
        elsewhere,
        Err(Error::Socket { what: "listen", .. })
    ));
}
