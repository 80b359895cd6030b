//! A connection held by hand: it speaks Noise well, and then says what its owner likes.

use std::io;

use sremp_core::{
    channel::{HandshakeHash, Hello, NoiseHandshake, NoiseTransport, VersionHeader},
    constants::HANDSHAKE_LEN,
    id::ContactId,
    identity::SecretIdentity,
    key::NoiseSecret,
    wire::frame::write_frame,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Such a connection, whose keys are split.
#[derive(Debug)]
pub struct RawConnection {
    /// The bytes.
    pub stream: TcpStream,
    /// The keys.
    pub transport: NoiseTransport,
    /// Names the connection.
    pub h: HandshakeHash,
}

fn refused<E>(_: E) -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// The first flight of an initiator, and the handshake that goes on.
///
/// # Errors
/// None in practice.
pub fn first_flight(key: &NoiseSecret) -> io::Result<(Vec<u8>, NoiseHandshake)> {
    let mut flight = VersionHeader::OWN.to_bytes().to_vec();
    let noise = NoiseHandshake::initiator(key, rand::random::<[u8; 32]>().into(), &flight);
    let mut noise = noise.map_err(refused)?;
    let message = noise.write(&[]).map_err(refused)?;
    write_frame(&message, &mut flight).map_err(refused)?;
    Ok((flight, noise))
}

/// The answer of a responder: its header and message 2.
pub const SECOND_FLIGHT: usize = {
    let [_, second, _] = HANDSHAKE_LEN;
    7 + 2 + second
};

impl RawConnection {
    /// Shakes hands as somebody with this noise key, and says nothing of who that is.
    ///
    /// # Errors
    /// What the network said, or that the other side does not speak Noise.
    pub async fn shake(mut stream: TcpStream, key: &NoiseSecret) -> io::Result<Self> {
        let (flight, mut noise) = first_flight(key)?;
        stream.write_all(&flight).await?;
        let mut answer = [0; SECOND_FLIGHT];
        stream.read_exact(&mut answer).await?;
        let (_, message) = answer.split_at(9);
        noise.read(message).map_err(refused)?;
        let mut third = Vec::new();
        let message = noise.write(&[]).map_err(refused)?;
        write_frame(&message, &mut third).map_err(refused)?;
        stream.write_all(&third).await?;
        let (transport, h) = noise.finish().map_err(refused)?;
        Ok(Self {
            stream,
            transport,
            h,
        })
    }

    /// Shakes hands, and shows an identity to a relay, which shows its own.
    ///
    /// # Errors
    /// What the network said, or that the relay does not want us.
    pub async fn open(
        stream: TcpStream,
        own: &SecretIdentity,
        relay: ContactId,
    ) -> io::Result<Self> {
        let mut raw = Self::shake(stream, own.noise_key()).await?;
        let hello = hello(own.identity().as_bytes(), Some(relay));
        raw.say(0x07, &hello.encode()).await?;
        match raw.hear().await?.as_deref() {
            Some([0x07, ..]) => Ok(raw),
            _ => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }

    /// The frame of a plaintext.
    ///
    /// # Errors
    /// If it is longer than a frame.
    pub fn frame(&mut self, kind: u8, body: &[u8]) -> io::Result<Vec<u8>> {
        let (mut message, mut wire) = (Vec::new(), Vec::new());
        let plaintext = [&[kind], body].concat();
        self.transport
            .write(&plaintext, &mut message)
            .map_err(refused)?;
        write_frame(&message, &mut wire).map_err(refused)?;
        Ok(wire)
    }

    /// Sends a plaintext of this type.
    ///
    /// # Errors
    /// What the network said.
    pub async fn say(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        let frame = self.frame(kind, body)?;
        self.stream.write_all(&frame).await
    }

    /// The next plaintext; `None` when the other side has ended the stream.
    ///
    /// # Errors
    /// What the network said, or that the frame does not hold.
    pub async fn hear(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut length = [0; 2];
        match self.stream.read_exact(&mut length).await {
            Ok(_) => {}
            Err(error) if is_end(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut frame = vec![0; usize::from(u16::from_le_bytes(length))];
        self.stream.read_exact(&mut frame).await?;
        self.transport.read(&frame).map(Some).map_err(refused)
    }
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(
        error.kind(),
        K::UnexpectedEof | K::ConnectionReset | K::BrokenPipe
    )
}

/// The HELLO of an initiator that wants a relay.
pub fn hello(identity: &[u8], intended: Option<ContactId>) -> Hello {
    Hello {
        responder_header: VersionHeader::OWN,
        service: 2,
        intended,
        identity: Some(identity.to_vec()),
        intro: None,
        features: 0,
    }
}
